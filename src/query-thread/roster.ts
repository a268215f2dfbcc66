import { ALERT_KINDS, type AlertKind } from '../contract/alert-kinds.ts';
import type { HostDetails, HostSummary } from '../contract/host-details.ts';
import { HOST_STATES, overdueAfterMs, type StateFacts, stateRank } from '../contract/host-state.ts';
import { searchable } from '../contract/queries.ts';
import { INFO_FAMILY } from '../shared/families.ts';
import {
  ALERT_BITS,
  API_BITS,
  BACKUP_INTERVAL_SECONDS,
  BACKUP_SUCCESS_MS,
  FLAG_BACKUP_SUCCEEDED,
  FLAG_HAS_BACKUP,
  FLAG_HAS_REPO_SIZE,
  FLAG_ONLINE,
  FLAGS,
  IS_PENDING,
  LAST_BACKUP_MS,
  PAGE_ROWS,
  REPO_SIZE,
  SNAPSHOTS,
} from '../shared/fleet-layout.ts';
import { FleetReader, PageCopy } from '../shared/fleet-reader.ts';

/** The rows of a page of a fleet table, as the API needs them. */
export class RosterPage {
  version: number | undefined;
  length = 0;
  /** Changes when a text of the page may have changed. */
  #textMark: number | undefined;
  readonly #flags = new Int32Array(PAGE_ROWS);
  readonly #apiBits = new Int32Array(PAGE_ROWS);
  readonly #lastBackupMs = new Float64Array(PAGE_ROWS);
  readonly #lastSuccessMs = new Float64Array(PAGE_ROWS);
  readonly #intervalSeconds = new Float64Array(PAGE_ROWS);
  readonly #repoSizes = new Float64Array(PAGE_ROWS);
  readonly #snapshots = new Float64Array(PAGE_ROWS);
  #texts: readonly Texts[] = [];
  /** The searched names, with a line feed after each. No name contains one. */
  #searched = '';
  /** See `namePrefix`. */
  readonly #prefixes = new Float64Array(PAGE_ROWS);
  readonly #ranks = new Uint8Array(PAGE_ROWS);
  /** The ranks are those from this time on … */
  #ranksFromMs = Number.POSITIVE_INFINITY;
  /** … until this one, when a host becomes overdue. */
  #ranksUntilMs = Number.NEGATIVE_INFINITY;

  update(copy: PageCopy): void {
    const { page } = copy;
    this.version = copy.version;
    this.length = page.rowCount;
    for (let row = 0; row < this.length; row++) {
      this.#flags[row] = page.word(FLAGS, row);
      this.#apiBits[row] = page.word(API_BITS, row);
      this.#lastBackupMs[row] = page.double(LAST_BACKUP_MS, row);
      this.#lastSuccessMs[row] = page.detail(BACKUP_SUCCESS_MS, row);
      this.#intervalSeconds[row] = page.detail(BACKUP_INTERVAL_SECONDS, row);
      this.#repoSizes[row] = page.double(REPO_SIZE, row);
      this.#snapshots[row] = page.double(SNAPSHOTS, row);
    }
    const textMark = page.familyMark(INFO_FAMILY);
    if (textMark !== this.#textMark) this.#setTexts(textsOf(copy));
    this.#textMark = textMark;
    this.#ranksUntilMs = Number.NEGATIVE_INFINITY;
  }

  #setTexts(texts: readonly Texts[]): void {
    this.#texts = texts;
    this.#searched = texts.map(({ searched }) => `${searched}\n`).join('');
    for (const [row, { host }] of texts.entries()) this.#prefixes[row] = namePrefix(host);
  }

  /** Whether a name may contain `part`. One look at a text is faster than one at each name. */
  mayContain(part: string): boolean {
    return this.#searched.includes(part);
  }

  /** See `namePrefix`. */
  prefix(row: number): number {
    return this.#prefixes[row] as number;
  }

  texts(row: number): Texts {
    return this.#texts[row] ?? NO_TEXTS;
  }

  isPending(row: number): boolean {
    return ((this.#apiBits[row] as number) & IS_PENDING) !== 0;
  }

  isOnline(row: number): boolean {
    return ((this.#flags[row] as number) & FLAG_ONLINE) !== 0;
  }

  /** A bit for each kind of alert that is open, in the order of `ALERT_KINDS`. */
  alertBits(row: number): number {
    return (this.#apiBits[row] as number) & ALERT_BITS;
  }

  /** For each row the index of its state in `HOST_STATES`. */
  ranks(nowMs: number): Uint8Array {
    if (nowMs >= this.#ranksFromMs && nowMs <= this.#ranksUntilMs) return this.#ranks;
    let until = Number.POSITIVE_INFINITY;
    for (let row = 0; row < this.length; row++) {
      const facts = this.#facts(row);
      this.#ranks[row] = stateRank(facts, nowMs);
      const overdueAfter = overdueAfterMs(facts);
      if (overdueAfter >= nowMs && overdueAfter < until) until = overdueAfter;
    }
    this.#ranksFromMs = nowMs;
    this.#ranksUntilMs = until;
    return this.#ranks;
  }

  #facts(row: number): StateFacts {
    const flags = this.#flags[row] as number;
    return {
      isPending: this.isPending(row),
      isOnline: (flags & FLAG_ONLINE) !== 0,
      hasBackup: (flags & FLAG_HAS_BACKUP) !== 0,
      lastBackupSucceeded: (flags & FLAG_BACKUP_SUCCEEDED) !== 0,
      lastSuccessMs: this.#lastSuccessMs[row] as number,
      backupIntervalSeconds: this.#intervalSeconds[row] as number,
      hasAlerts: this.alertBits(row) !== 0,
    };
  }

  summary(row: number, nowMs: number): HostSummary {
    const flags = this.#flags[row] as number;
    const lastSuccessMs = this.#lastSuccessMs[row] as number;
    const { hostId, host, info } = this.texts(row);
    const isPending = this.isPending(row);
    return {
      hostId,
      host,
      state: HOST_STATES[this.ranks(nowMs)[row] ?? 0] ?? 'ok',
      status: isPending ? 'pending' : this.isOnline(row) ? 'online' : 'offline',
      lastBackup:
        (flags & FLAG_HAS_BACKUP) === 0
          ? undefined
          : {
              finishedAtMs: this.#lastBackupMs[row] as number,
              succeeded: (flags & FLAG_BACKUP_SUCCEEDED) !== 0,
            },
      lastSuccessMs: Number.isNaN(lastSuccessMs) ? undefined : lastSuccessMs,
      backupIntervalSeconds: orUndefined(this.#intervalSeconds[row]),
      repoSizeBytes: (flags & FLAG_HAS_REPO_SIZE) === 0 ? undefined : this.#repoSizes[row],
      snapshotCount: isPending ? undefined : this.#snapshots[row],
      alerts: kindsOf(this.alertBits(row)),
      agentVersion: info.agentVersion || undefined,
      resticVersion: info.resticVersion || undefined,
    };
  }

  platform(row: number): Pick<HostDetails, 'os' | 'arch'> {
    const { os, arch } = this.texts(row).info;
    return { os: os || undefined, arch: arch || undefined };
  }
}

function orUndefined(value: number | undefined): number | undefined {
  return Number.isNaN(value) ? undefined : value;
}

const PREFIX_UNITS = 7;
const PREFIX_BASE = 128;

/**
 * The start of a name as one number. Names are sorted by UTF-16 code units, so a name with a lower number comes
 * first, and most names can be compared without their texts. Up to seven code units count. The first one that is
 * not ASCII counts as 127, and the units after it do not count.
 */
export function namePrefix(name: string): number {
  let prefix = 0;
  let isAscii = true;
  for (let at = 0; at < PREFIX_UNITS; at++) {
    const unit: number = isAscii ? name.charCodeAt(at) || 0 : 0;
    isAscii = isAscii && unit < PREFIX_BASE - 1;
    prefix = prefix * PREFIX_BASE + Math.min(unit, PREFIX_BASE - 1);
  }
  return prefix;
}

function kindsOf(bits: number): AlertKind[] {
  return ALERT_KINDS.filter((_, index) => (bits & (1 << index)) !== 0);
}

/**
 * All hosts, from the fleet table of the exposition and the table of the other hosts. A call of `pages` copies
 * the pages that have changed since the last one, so it is as current as a scrape. It reads no database.
 */
export class Roster {
  readonly #tables: readonly Table[];

  /** @param buffers the table of the other hosts comes first: a host moves from there to the other one */
  constructor(buffers: readonly SharedArrayBuffer[]) {
    this.#tables = buffers.map((buffer) => new Table(buffer));
  }

  /** @throws RmError `reading_contended` */
  pages(): RosterPage[] {
    return this.#tables.flatMap((table) => table.pages());
  }

  /** @throws RmError `reading_contended` */
  find(hostId: string): { readonly page: RosterPage; readonly row: number } | undefined {
    // Backwards: a host that is just moving may be in both tables.
    for (const page of this.pages().reverse()) {
      const { length } = page;
      if (length === 0 || page.texts(0).hostId > hostId) continue;
      if (page.texts(length - 1).hostId < hostId) continue;
      for (let row = 0; row < length; row++) {
        if (page.texts(row).hostId === hostId) return { page, row };
      }
    }
    return undefined;
  }
}

class Table {
  readonly #reader: FleetReader;
  readonly #copy = new PageCopy();
  #byBlock = new Map<number, RosterPage>();

  constructor(buffer: SharedArrayBuffer) {
    this.#reader = new FleetReader(buffer);
  }

  pages(): RosterPage[] {
    this.#reader.read((blocks) => {
      const byBlock = new Map<number, RosterPage>();
      for (const block of blocks) {
        const page = this.#byBlock.get(block) ?? new RosterPage();
        if (this.#reader.copyIfChanged(block, page.version, this.#copy)) page.update(this.#copy);
        byBlock.set(block, page);
      }
      this.#byBlock = byBlock;
    });
    return [...this.#byBlock.values()];
  }
}

interface Info {
  readonly agentVersion: string;
  readonly resticVersion: string;
  readonly os: string;
  readonly arch: string;
}

export interface Texts {
  readonly hostId: string;
  readonly host: string;
  /** The name as a search is compared with it. */
  readonly searched: string;
  readonly info: Info;
}

const NO_TEXTS: Texts = {
  hostId: '',
  host: '',
  searched: '',
  info: { agentVersion: '', resticVersion: '', os: '', arch: '' },
};

function textsOf({ text, page, labelEnds, textEnds }: PageCopy): Texts[] {
  const bytes = Buffer.from(text.buffer);
  const texts: Texts[] = [];
  for (let row = 0; row < page.rowCount; row++) {
    const start = row === 0 ? 0 : (textEnds[row - 1] as number);
    const labelEnd = labelEnds[row] as number;
    const labels = bytes.toString('utf8', start, labelEnd);
    const info = bytes.toString('utf8', labelEnd, textEnds[row]);
    const [hostId = '', host = ''] = labelValues(labels);
    const searched = searchable(host);
    // Most names are in that form already, and then share its memory.
    texts.push({ hostId, host, searched: searched === host ? host : searched, info: infoOf(info) });
  }
  return texts;
}

/** Hosts share these, because a fleet has few versions. */
const infos = new Map<string, Info>();
const MAX_INFOS = 1_000;

function infoOf(text: string): Info {
  const known = infos.get(text);
  if (known !== undefined) return known;
  const [agentVersion = '', resticVersion = '', os = '', arch = ''] = labelValues(text);
  const info = { agentVersion, resticVersion, os, arch };
  if (infos.size >= MAX_INFOS) infos.clear();
  infos.set(text, info);
  return info;
}

/** The values of `name="value",…`, where `\`, `"` and newlines are escaped. */
function labelValues(text: string): string[] {
  if (!text.includes('\\')) return text.split('"').filter((_, index) => index % 2 === 1);
  return Array.from(text.matchAll(/="((?:[^"\\]|\\.)*)"/gs), ([, value = '']) =>
    value.replace(/\\(.)/gs, (_, escaped) => (escaped === 'n' ? '\n' : escaped)),
  );
}
