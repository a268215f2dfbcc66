import { checkHost, type Host, INFO_FIELDS, REPO_STATUSES } from '../contract/host.ts';
import { RmError } from '../errors.ts';
import { DETAIL_FAMILIES, HOST_FAMILIES, INFO_FAMILY } from './families.ts';
import {
  ALERTS_CRITICAL,
  ALERTS_INFO,
  ALERTS_WARNING,
  allocateFleetBuffer,
  BACKUP_ADDED_BYTES,
  BACKUP_DURATION_MS,
  BACKUP_INTERVAL_SECONDS,
  BACKUP_SUCCESS_MS,
  CHECK_SUCCESS_MS,
  DETAIL_DOUBLES,
  FLAG_BACKUP_SUCCEEDED,
  FLAG_HAS_BACKUP,
  FLAG_HAS_REPO_SIZE,
  FLAG_ONLINE,
  FLAGS,
  type FleetMemory,
  INFO_LENGTH,
  LAST_BACKUP_MS,
  MAX_PAGES,
  PAGE_BYTES,
  PAGE_COUNT,
  PAGE_ROWS,
  Page,
  PENDING_HOSTS,
  REPO_SIZE,
  REPO_STATUS_SHIFT,
  SNAPSHOTS,
  STRUCTURE_VERSION,
  TEXT_LENGTH,
  TEXT_START,
  TEXT_UNIT,
  VERSION,
  viewFleetBuffer,
} from './fleet-layout.ts';
import { escapeLabelValue } from './text-format.ts';

/** A page and what only the writer knows about it: its block and the sorted ids of its hosts. */
interface WriterPage {
  readonly block: number;
  readonly page: Page;
  readonly ids: string[];
}

/**
 * The hosts in the exposition, in shared memory (see `fleet-layout.ts`). Only the thread that
 * creates the table writes to it. Other threads read it with a `FleetReader` on the same buffer.
 *
 * Pages hold up to 64 hosts, sorted by ULID. Adding a host moves at most the rows of one page, and
 * a reader copies only the pages that changed.
 */
export class FleetTable {
  readonly buffer: SharedArrayBuffer;
  readonly #memory: FleetMemory;
  readonly #text: TextSlots;
  readonly #pages: WriterPage[] = [];
  readonly #freeBlocks: number[] = [];
  readonly #keepsInfo: boolean;
  readonly #keepsDetails: boolean;
  #blocksUsed = 0;
  #size = 0;

  /** @param exclude names of families that no body shows: what only they need is not kept */
  constructor(buffer: SharedArrayBuffer = allocateFleetBuffer(), exclude: readonly string[] = []) {
    this.buffer = buffer;
    this.#keepsDetails = !DETAIL_FAMILIES.every((name) => exclude.includes(name));
    this.#keepsInfo = !exclude.includes(HOST_FAMILIES[INFO_FAMILY]?.name ?? '');
    this.#memory = viewFleetBuffer(buffer);
    this.#text = new TextSlots(this.#memory.text);
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Adds a host or replaces all fields of a known one. The next scrape shows it.
   * @throws RmError `invalid_host`, `fleet_full`; the table is unchanged then
   */
  upsert(host: Host): void {
    checkHost(host);
    const text = textsOf(host, this.#keepsInfo);
    const at = this.#pageFor(host.hostId);
    const owner = this.#pages[at];
    const row = owner === undefined ? 0 : lowerBound(owner.ids, host.hostId);
    if (owner !== undefined && owner.ids[row] === host.hostId) {
      this.#update(owner, row, host, text);
    } else {
      this.#insert(at, row, host, text);
    }
  }

  /** Sets how many hosts are enrolled and have no row yet. */
  setPending(hosts: number): void {
    Atomics.store(this.#memory.control, PENDING_HOSTS, hosts);
  }

  /**
   * Sets only the online flag of a host.
   * @returns whether the host is in the table
   */
  setOnline(hostId: string, online: boolean): boolean {
    const owner = this.#pages[this.#pageFor(hostId)];
    const row = owner === undefined ? 0 : lowerBound(owner.ids, hostId);
    if (owner === undefined || owner.ids[row] !== hostId) return false;
    const { page } = owner;
    const flags = page.word(FLAGS, row);
    const changed = online ? flags | FLAG_ONLINE : flags & ~FLAG_ONLINE;
    if (changed === flags) return true;
    withOddVersion(page.words, VERSION, () =>
      markChangedFamilies(page, row, () => page.setWord(FLAGS, row, changed)),
    );
    return true;
  }

  /**
   * Removes a host. The next scrape no longer shows it.
   * @returns whether the host was in the table
   */
  remove(hostId: string): boolean {
    const at = this.#pageFor(hostId);
    const owner = this.#pages[at];
    const row = owner === undefined ? 0 : lowerBound(owner.ids, hostId);
    if (owner === undefined || owner.ids[row] !== hostId) return false;
    const { page, ids } = owner;
    withOddVersion(page.words, VERSION, () => {
      this.#text.free(page.word(TEXT_START, row), textLength(page, row));
      page.shift(row, -1);
      page.markAllFamilies();
    });
    ids.splice(row, 1);
    this.#size--;
    if (ids.length === 0) {
      withOddVersion(this.#memory.control, STRUCTURE_VERSION, () => this.#removeFromDirectory(at));
    }
    return true;
  }

  #update(owner: WriterPage, row: number, host: Host, texts: Texts): void {
    const { page } = owner;
    const oldStart = page.word(TEXT_START, row);
    const oldLength = textLength(page, row);
    const oldBytes = this.#text.view(oldStart, oldLength);
    const hasNewText = !texts.bytes.equals(oldBytes);
    // An upsert that changes nothing must not mark the page, or readers would render it again.
    if (!hasNewText && !writeRow(page, row, host, false)) return;
    const labelsAreOld = texts.bytes
      .subarray(0, texts.labelLength)
      .equals(oldBytes.subarray(0, page.word(TEXT_LENGTH, row)));
    const start = hasNewText ? this.#text.add(texts.bytes) : oldStart;
    withOddVersion(page.words, VERSION, () => {
      markChangedFamilies(page, row, () => writeRow(page, row, host, true));
      if (!hasNewText) return;
      setTexts(page, row, start, texts);
      if (labelsAreOld) page.markFamily(INFO_FAMILY);
      else page.markAllFamilies();
      this.#text.free(oldStart, oldLength);
    });
  }

  #insert(at: number, row: number, host: Host, texts: Texts): void {
    const start = this.#text.add(texts.bytes);
    const { page, ids, position } = this.#makeRoomOrFreeText(at, row, start, texts.bytes.length);
    withOddVersion(page.words, VERSION, () => {
      page.shift(position, 1);
      writeRow(page, position, host, true);
      setTexts(page, position, start, texts);
      page.markAllFamilies();
    });
    ids.splice(position, 0, host.hostId);
    this.#size++;
  }

  #makeRoomOrFreeText(at: number, row: number, start: number, length: number) {
    try {
      return this.#makeRoom(at, row);
    } catch (error) {
      this.#text.free(start, length);
      throw error;
    }
  }

  /**
   * Returns a page with room for one more row, and the position of that row. The row belongs at
   * `row` of page `at`. If that page is full, it is split.
   */
  #makeRoom(at: number, row: number): WriterPage & { position: number } {
    const { control } = this.#memory;
    const full = this.#pages[at];
    if (full === undefined) {
      const page = this.#newPage();
      withOddVersion(control, STRUCTURE_VERSION, () => this.#addToDirectory(0, page));
      return { ...page, position: 0 };
    }
    if (full.ids.length < PAGE_ROWS) return { ...full, position: row };
    const next = this.#newPage();
    // New ULIDs are mostly the highest so far. Then the full page stays full and the new page takes
    // the rest.
    const keep = row === PAGE_ROWS ? PAGE_ROWS : PAGE_ROWS / 2;
    withOddVersion(control, STRUCTURE_VERSION, () => {
      withOddVersion(full.page.words, VERSION, () => {
        withOddVersion(next.page.words, VERSION, () => {
          full.page.moveTail(keep, next.page);
          full.page.markAllFamilies();
          next.page.markAllFamilies();
        });
      });
      this.#addToDirectory(at + 1, next);
    });
    next.ids.push(...full.ids.splice(keep));
    return row > keep || keep === PAGE_ROWS
      ? { ...next, position: row - keep }
      : { ...full, position: row };
  }

  #newPage(): WriterPage {
    const block = this.#freeBlocks.pop() ?? this.#blocksUsed;
    if (block === MAX_PAGES) {
      throw new RmError(
        'fleet_full',
        `upsert: all ${MAX_PAGES} pages of the fleet table are in use`,
      );
    }
    if (block === this.#blocksUsed) this.#blocksUsed++;
    const { pages, details } = this.#memory;
    const ofPage = details.subarray(block * DETAIL_DOUBLES, (block + 1) * DETAIL_DOUBLES);
    const at = pages.byteOffset + block * PAGE_BYTES;
    const page = new Page(pages.buffer, at, this.#keepsDetails ? ofPage : undefined);
    return { block, page, ids: [] };
  }

  #addToDirectory(at: number, page: WriterPage): void {
    const { control, directory } = this.#memory;
    directory.copyWithin(at + 1, at, this.#pages.length);
    directory[at] = page.block;
    this.#pages.splice(at, 0, page);
    control[PAGE_COUNT] = this.#pages.length;
  }

  #removeFromDirectory(at: number): void {
    const { control, directory } = this.#memory;
    directory.copyWithin(at, at + 1, this.#pages.length);
    const [removed] = this.#pages.splice(at, 1);
    if (removed !== undefined) this.#freeBlocks.push(removed.block);
    control[PAGE_COUNT] = this.#pages.length;
  }

  /**
   * Index of the page that contains `hostId` or would contain it: the last page whose first id is
   * not above it.
   */
  #pageFor(hostId: string): number {
    let low = 0;
    let high = this.#pages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.#pages[middle]?.ids[0];
      if (first !== undefined && first <= hostId) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** The two texts of a host, one behind the other. */
interface Texts {
  readonly bytes: Buffer;
  /** Of the first text, in bytes. */
  readonly labelLength: number;
}

const INFO_LABELS = HOST_FAMILIES[INFO_FAMILY]?.labels.slice(-INFO_FIELDS.length) ?? [];

function textsOf(host: Host, withInfo: boolean): Texts {
  const labels = `host_id="${host.hostId}",host="${escapeLabelValue(host.host)}"`;
  const info = withInfo
    ? INFO_FIELDS.map((field, at) => `,${INFO_LABELS[at]}="${escapeLabelValue(host[field] ?? '')}"`)
    : [];
  return { bytes: Buffer.from(labels + info.join('')), labelLength: Buffer.byteLength(labels) };
}

/** Of both texts of a row, in bytes. */
function textLength(page: Page, row: number): number {
  return page.word(TEXT_LENGTH, row) + page.word(INFO_LENGTH, row);
}

function setTexts(page: Page, row: number, start: number, { bytes, labelLength }: Texts): void {
  page.setWord(TEXT_START, row, start);
  page.setWord(TEXT_LENGTH, row, labelLength);
  page.setWord(INFO_LENGTH, row, bytes.length - labelLength);
}

/**
 * Label texts in slots of whole units. A freed slot is used again for a text that needs as many
 * units.
 */
class TextSlots {
  readonly #bytes: Buffer;
  readonly #freeBySize = new Map<number, number[]>();
  #unitsUsed = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @returns the first unit of the slot */
  add(text: Buffer): number {
    const size = Math.ceil(text.length / TEXT_UNIT);
    const start = this.#freeBySize.get(size)?.pop() ?? this.#append(size);
    text.copy(this.#bytes, start * TEXT_UNIT);
    return start;
  }

  free(start: number, length: number): void {
    const size = Math.ceil(length / TEXT_UNIT);
    const free = this.#freeBySize.get(size);
    if (free === undefined) this.#freeBySize.set(size, [start]);
    else free.push(start);
  }

  view(start: number, length: number): Buffer {
    return this.#bytes.subarray(start * TEXT_UNIT, start * TEXT_UNIT + length);
  }

  #append(size: number): number {
    const start = this.#unitsUsed;
    if ((start + size) * TEXT_UNIT > this.#bytes.length) {
      throw new RmError('fleet_full', 'upsert: the label text of the fleet table is full');
    }
    this.#unitsUsed += size;
    return start;
  }
}

/**
 * Runs `change` while the version is odd, so that readers retry. `change` must not throw: the
 * version would stay odd.
 */
function withOddVersion(words: Int32Array, version: number, change: () => void): void {
  Atomics.add(words, version, 1);
  change();
  Atomics.add(words, version, 1);
}

/** What the exposition shows of one row: by family, its value and the index of its last label. */
interface RowOutput {
  readonly values: Float64Array;
  readonly labels: Int8Array;
}

const newRowOutput = (): RowOutput => ({
  values: new Float64Array(HOST_FAMILIES.length),
  labels: new Int8Array(HOST_FAMILIES.length),
});
const before = newRowOutput();
const after = newRowOutput();
const pageValues = new Float64Array(PAGE_ROWS);

function evaluateRow(page: Page, row: number, { values, labels }: RowOutput): void {
  for (const [index, family] of HOST_FAMILIES.entries()) {
    family.evaluate(page, row, row + 1, pageValues);
    values[index] = pageValues[row] as number;
    labels[index] = family.lastLabel?.pick(page, row) ?? 0;
  }
}

/** Runs `change` and marks the families whose exposition of the row is different afterwards. */
function markChangedFamilies(page: Page, row: number, change: () => void): void {
  evaluateRow(page, row, before);
  change();
  evaluateRow(page, row, after);
  for (let family = 0; family < HOST_FAMILIES.length; family++) {
    // `Object.is`, because NaN (no row) must equal NaN.
    const same = Object.is(before.values[family], after.values[family]);
    if (!same || before.labels[family] !== after.labels[family]) page.markFamily(family);
  }
}

/**
 * Compares the row with `host` and, if `write` is set, stores `host` in it.
 * @returns whether the row was different before
 */
function writeRow(page: Page, row: number, host: Host, write: boolean): boolean {
  const { lastBackup, repoSizeBytes, openAlerts } = host;
  const lastBackupIfGood = lastBackup?.succeeded ? lastBackup.finishedAtMs : undefined;
  const flags =
    (host.online ? FLAG_ONLINE : 0) |
    (lastBackup ? FLAG_HAS_BACKUP : 0) |
    (lastBackup?.succeeded ? FLAG_BACKUP_SUCCEEDED : 0) |
    (repoSizeBytes === undefined ? 0 : FLAG_HAS_REPO_SIZE) |
    (REPO_STATUSES.indexOf(host.repoStatus ?? 'unknown') << REPO_STATUS_SHIFT);
  let changed = false;
  const word = (column: number, value: number) => {
    if (page.word(column, row) !== value) changed = true;
    if (write) page.setWord(column, row, value);
  };
  const double = (column: number, value: number) => {
    if (page.double(column, row) !== value) changed = true;
    if (write) page.setDouble(column, row, value);
  };
  const detail = (column: number, value: number) => {
    if (page.details === undefined) return;
    // `Object.is`, because NaN (no row) must equal NaN.
    if (!Object.is(page.detail(column, row), value)) changed = true;
    if (write) page.setDetail(column, row, value);
  };
  word(FLAGS, flags);
  word(ALERTS_CRITICAL, openAlerts?.critical ?? 0);
  word(ALERTS_INFO, openAlerts?.info ?? 0);
  word(ALERTS_WARNING, openAlerts?.warning ?? 0);
  double(LAST_BACKUP_MS, lastBackup?.finishedAtMs ?? 0);
  double(REPO_SIZE, repoSizeBytes ?? 0);
  double(SNAPSHOTS, host.snapshotCount ?? 0);
  detail(BACKUP_INTERVAL_SECONDS, host.backupIntervalSeconds ?? Number.NaN);
  detail(BACKUP_ADDED_BYTES, host.lastBackupAddedBytes ?? Number.NaN);
  detail(BACKUP_DURATION_MS, lastBackup?.durationMs ?? Number.NaN);
  detail(BACKUP_SUCCESS_MS, host.lastBackupSuccessMs ?? lastBackupIfGood ?? Number.NaN);
  detail(CHECK_SUCCESS_MS, host.lastCheckSuccessMs ?? Number.NaN);
  return changed;
}

/** The first index whose id is not below `id`. */
function lowerBound(ids: readonly string[], id: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] as string) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
