import { readdirSync, statSync } from 'node:fs';
import { openFileLimit } from '../platform/open-files.ts';
import { deriveCells, PROCESS_CELL, READING_CELLS } from '../shared/server-families.ts';
import { ServerStats } from '../shared/server-stats.ts';

const OPEN_FILES_DIRECTORY = '/proc/self/fd';
const MICROSECONDS = 1e6;
/**
 * Minimum time between two reads of process values. A read takes a tenth of the time of a small
 * scrape. The values in a scrape may therefore be this much older than the scrape.
 */
const PROCESS_READ_PAUSE_MS = 1_000;

/**
 * Reads the counters of the control plane, and the values that the operating system reports about
 * the process. It runs in the render thread, where a slow system call delays a scrape and not the
 * agents.
 */
export class ServerReader {
  readonly #stats: ServerStats | undefined;
  readonly #reading = new Float64Array(READING_CELLS);
  readonly #startTimeSeconds = Math.round(Date.now() - process.uptime() * 1000) / 1000;
  readonly #maxFds = openFileLimitOrNaN();
  readonly #readsProcess: boolean;
  #processReadAt = Number.NEGATIVE_INFINITY;

  /**
   * @param stats buffer of the `ServerStats`; if undefined, only process values are read
   * @param readsProcess whether process values are read
   */
  constructor(stats: SharedArrayBuffer | undefined, readsProcess = true) {
    this.#readsProcess = readsProcess;
    this.#stats = stats && ServerStats.attach(stats);
  }

  /** Returns the current values. The array is the same in each call, and valid until the next. */
  read(): Float64Array {
    const reading = this.#reading;
    this.#stats?.read(reading);
    if (this.#readsProcess) this.#readProcess(reading);
    deriveCells(reading);
    return reading;
  }

  #readProcess(reading: Float64Array): void {
    const now = performance.now();
    if (now - this.#processReadAt < PROCESS_READ_PAUSE_MS) return;
    this.#processReadAt = now;
    const { user, system } = process.cpuUsage();
    reading[PROCESS_CELL.cpuSeconds] = (user + system) / MICROSECONDS;
    reading[PROCESS_CELL.residentBytes] = process.memoryUsage.rss();
    reading[PROCESS_CELL.startTimeSeconds] = this.#startTimeSeconds;
    reading[PROCESS_CELL.openFds] = countOpenFiles();
    reading[PROCESS_CELL.maxFds] = this.#maxFds;
  }
}

/** NaN if the operating system does not provide the number. */
function countOpenFiles(): number {
  try {
    // Linux 6.2 and later return the number as the size of the directory. Earlier ones return 0, so
    // the entries are counted.
    return statSync(OPEN_FILES_DIRECTORY).size || readdirSync(OPEN_FILES_DIRECTORY).length;
  } catch {
    return Number.NaN;
  }
}

/** NaN if there is no limit or the operating system does not provide it. */
function openFileLimitOrNaN(): number {
  const limit = openFileLimit();
  return Number.isFinite(limit) ? limit : Number.NaN;
}
