import { checkHost, type Host, REPO_STATUSES } from '../contract/host.ts';
import { RmError } from '../errors.ts';
import { HOST_FAMILIES } from './families.ts';
import {
  ALERTS_CRITICAL,
  ALERTS_INFO,
  ALERTS_WARNING,
  allocateFleetBuffer,
  FLAG_BACKUP_SUCCEEDED,
  FLAG_HAS_BACKUP,
  FLAG_HAS_REPO_SIZE,
  FLAG_ONLINE,
  FLAGS,
  type FleetMemory,
  LAST_BACKUP_MS,
  MAX_PAGES,
  PAGE_BYTES,
  PAGE_COUNT,
  PAGE_ROWS,
  Page,
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

/** A page as its writer knows it: where it is and who lives there, sorted. */
interface WriterPage {
  readonly block: number;
  readonly page: Page;
  readonly ids: string[];
}

/**
 * The hosts that scrapes show, in shared memory (`fleet-layout.ts` says how). One thread owns the table
 * and writes; any other reads it with a `FleetReader` on the same buffer.
 *
 * Hosts are kept in pages of up to 64, sorted by ULID: adding one moves at most a page's rows, and a
 * reader re-reads only the pages that changed.
 */
export class FleetTable {
  readonly buffer: SharedArrayBuffer;
  readonly #memory: FleetMemory;
  readonly #text: TextSlots;
  readonly #pages: WriterPage[] = [];
  readonly #freeBlocks: number[] = [];
  #blocksUsed = 0;
  #size = 0;

  constructor(buffer: SharedArrayBuffer = allocateFleetBuffer()) {
    this.buffer = buffer;
    this.#memory = viewFleetBuffer(buffer);
    this.#text = new TextSlots(this.#memory.text);
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Shows `host` as given from the next scrape on, new or known; a known host is replaced whole.
   * @throws RmError `invalid_host`, `fleet_full`; the table is unchanged then
   */
  upsert(host: Host): void {
    checkHost(host);
    const label = `host_id="${host.hostId}",host="${escapeLabelValue(host.host)}"`;
    const text = Buffer.from(label);
    const at = this.#pageFor(host.hostId);
    const owner = this.#pages[at];
    const row = owner === undefined ? 0 : lowerBound(owner.ids, host.hostId);
    if (owner !== undefined && owner.ids[row] === host.hostId) {
      this.#update(owner, row, host, text);
    } else {
      this.#insert(at, row, host, text);
    }
  }

  /** Changes nothing else of the host. @returns whether there is such a host */
  setOnline(hostId: string, online: boolean): boolean {
    const owner = this.#pages[this.#pageFor(hostId)];
    const row = owner === undefined ? 0 : lowerBound(owner.ids, hostId);
    if (owner === undefined || owner.ids[row] !== hostId) return false;
    const { page } = owner;
    const flags = page.word(FLAGS, row);
    const changed = online ? flags | FLAG_ONLINE : flags & ~FLAG_ONLINE;
    if (changed === flags) return true;
    changing(page.words, VERSION, () =>
      markChanged(page, row, () => page.setWord(FLAGS, row, changed)),
    );
    return true;
  }

  /** @returns whether there was such a host */
  remove(hostId: string): boolean {
    const at = this.#pageFor(hostId);
    const owner = this.#pages[at];
    const row = owner === undefined ? 0 : lowerBound(owner.ids, hostId);
    if (owner === undefined || owner.ids[row] !== hostId) return false;
    const { page, ids } = owner;
    changing(page.words, VERSION, () => {
      this.#text.free(page.word(TEXT_START, row), page.word(TEXT_LENGTH, row));
      page.shift(row, -1);
      page.markAllFamilies();
    });
    ids.splice(row, 1);
    this.#size--;
    if (ids.length === 0) {
      changing(this.#memory.control, STRUCTURE_VERSION, () => this.#unlistPage(at));
    }
    return true;
  }

  #update(owner: WriterPage, row: number, host: Host, text: Buffer): void {
    const { page } = owner;
    const oldStart = page.word(TEXT_START, row);
    const oldLength = page.word(TEXT_LENGTH, row);
    const renamed = !text.equals(this.#text.view(oldStart, oldLength));
    // A row that says the same already leaves its page unmarked: nothing to render again.
    if (!renamed && !writeRow(page, row, host, false)) return;
    const start = renamed ? this.#text.store(text) : oldStart;
    changing(page.words, VERSION, () => {
      markChanged(page, row, () => writeRow(page, row, host, true));
      if (!renamed) return;
      page.setWord(TEXT_START, row, start);
      page.setWord(TEXT_LENGTH, row, text.length);
      page.markAllFamilies();
      this.#text.free(oldStart, oldLength);
    });
  }

  #insert(at: number, row: number, host: Host, text: Buffer): void {
    const start = this.#text.store(text);
    const { page, ids, position } = this.#roomOrFree(at, row, start, text.length);
    changing(page.words, VERSION, () => {
      page.shift(position, 1);
      writeRow(page, position, host, true);
      page.setWord(TEXT_START, position, start);
      page.setWord(TEXT_LENGTH, position, text.length);
      page.markAllFamilies();
    });
    ids.splice(position, 0, host.hostId);
    this.#size++;
  }

  #roomOrFree(at: number, row: number, start: number, length: number) {
    try {
      return this.#room(at, row);
    } catch (error) {
      this.#text.free(start, length);
      throw error;
    }
  }

  /** A page with room for one more row at `row` of page `at`, splitting that page if it is full. */
  #room(at: number, row: number): WriterPage & { position: number } {
    const { control } = this.#memory;
    const full = this.#pages[at];
    if (full === undefined) {
      const page = this.#newPage();
      changing(control, STRUCTURE_VERSION, () => this.#listPage(0, page));
      return { ...page, position: 0 };
    }
    if (full.ids.length < PAGE_ROWS) return { ...full, position: row };
    const next = this.#newPage();
    // ULIDs mostly arrive in rising order; then the full page stays full and the new one takes the rest.
    const keep = row === PAGE_ROWS ? PAGE_ROWS : PAGE_ROWS / 2;
    changing(control, STRUCTURE_VERSION, () => {
      changing(full.page.words, VERSION, () => {
        changing(next.page.words, VERSION, () => {
          full.page.moveTail(keep, next.page);
          full.page.markAllFamilies();
          next.page.markAllFamilies();
        });
      });
      this.#listPage(at + 1, next);
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
    const { pages } = this.#memory;
    return { block, page: new Page(pages.buffer, pages.byteOffset + block * PAGE_BYTES), ids: [] };
  }

  #listPage(at: number, page: WriterPage): void {
    const { control, directory } = this.#memory;
    directory.copyWithin(at + 1, at, this.#pages.length);
    directory[at] = page.block;
    this.#pages.splice(at, 0, page);
    control[PAGE_COUNT] = this.#pages.length;
  }

  #unlistPage(at: number): void {
    const { control, directory } = this.#memory;
    directory.copyWithin(at, at + 1, this.#pages.length);
    const [removed] = this.#pages.splice(at, 1);
    if (removed !== undefined) this.#freeBlocks.push(removed.block);
    control[PAGE_COUNT] = this.#pages.length;
  }

  /** The page whose range covers `hostId`: the last one that does not start behind it. */
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

/** Label texts in slots of whole units, reused by size once their row is gone. */
class TextSlots {
  readonly #bytes: Buffer;
  readonly #freeBySize = new Map<number, number[]>();
  #unitsUsed = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @returns the first unit of the slot */
  store(text: Buffer): number {
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

/** Runs `change` with the version odd. Nothing in `change` may throw. */
function changing(words: Int32Array, version: number, change: () => void): void {
  Atomics.add(words, version, 1);
  change();
  Atomics.add(words, version, 1);
}

/** What each family over hosts shows of a row: its value, and which last label. */
interface ShownRow {
  readonly values: Float64Array;
  readonly labels: Int8Array;
}

const newShownRow = (): ShownRow => ({
  values: new Float64Array(HOST_FAMILIES.length),
  labels: new Int8Array(HOST_FAMILIES.length),
});
const before = newShownRow();
const after = newShownRow();
const pageValues = new Float64Array(PAGE_ROWS);

function showRow(page: Page, row: number, { values, labels }: ShownRow): void {
  for (const [index, family] of HOST_FAMILIES.entries()) {
    family.evaluate(page, row, row + 1, pageValues);
    values[index] = pageValues[row] as number;
    labels[index] = family.lastLabel?.pick(page, row) ?? 0;
  }
}

/** Marks the families that show the row otherwise after `change`. */
function markChanged(page: Page, row: number, change: () => void): void {
  showRow(page, row, before);
  change();
  showRow(page, row, after);
  for (let family = 0; family < HOST_FAMILIES.length; family++) {
    // NaN, no row, is itself and nothing else.
    const same = Object.is(before.values[family], after.values[family]);
    if (!same || before.labels[family] !== after.labels[family]) page.markFamily(family);
  }
}

/** Writes the row if `write`; @returns whether the row said something else before. */
function writeRow(page: Page, row: number, host: Host, write: boolean): boolean {
  const { lastBackup, repoSizeBytes, openAlerts } = host;
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
  word(FLAGS, flags);
  word(ALERTS_CRITICAL, openAlerts?.critical ?? 0);
  word(ALERTS_INFO, openAlerts?.info ?? 0);
  word(ALERTS_WARNING, openAlerts?.warning ?? 0);
  double(LAST_BACKUP_MS, lastBackup?.finishedAtMs ?? 0);
  double(REPO_SIZE, repoSizeBytes ?? 0);
  double(SNAPSHOTS, host.snapshotCount ?? 0);
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
