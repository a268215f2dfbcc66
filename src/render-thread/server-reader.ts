import { readdirSync, statSync } from 'node:fs';
import { openFileLimit } from '../platform/open-files.ts';
import { deriveCells, PROCESS_CELL, READING_CELLS } from '../shared/server-families.ts';
import { ServerStats } from '../shared/server-stats.ts';

const OPEN_FILES = '/proc/self/fd';
const MICROSECONDS = 1e6;
/** Asking the system takes a tenth of a small scrape. What it tells may be that much older than the scrape. */
const PROCESS_READ_PAUSE_MS = 1_000;

/**
 * Reads what the control plane counted about itself, and what the operating system knows of the process. In the
 * render thread, where a slow answer of the system delays a scrape and not the agents.
 */
export class ServerReader {
  readonly #stats: ServerStats | undefined;
  readonly #reading = new Float64Array(READING_CELLS);
  readonly #startTimeSeconds = Math.round(Date.now() - process.uptime() * 1000) / 1000;
  readonly #maxFds = knownLimit();
  readonly #readsProcess: boolean;
  #processReadAt = Number.NEGATIVE_INFINITY;

  /**
   * @param stats of the control plane; without them only what the system tells is read
   * @param readsProcess whether what the system tells is shown at all
   */
  constructor(stats: SharedArrayBuffer | undefined, readsProcess = true) {
    this.#readsProcess = readsProcess;
    this.#stats = stats && ServerStats.attach(stats);
  }

  /** The same cells again and again: good until the next reading. */
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

/** NaN where the system does not tell. */
function countOpenFiles(): number {
  try {
    // Linux 6.2 and later say it in the size of the directory; with earlier ones its entries have to be counted.
    return statSync(OPEN_FILES).size || readdirSync(OPEN_FILES).length;
  } catch {
    return Number.NaN;
  }
}

/** NaN where there is none, or the system does not tell. */
function knownLimit(): number {
  const limit = openFileLimit();
  return Number.isFinite(limit) ? limit : Number.NaN;
}
