import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { missing } from './programs.ts';
import { temporaryDirectory, type Variables } from './serve.ts';

const ARCHITECTURE = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const LIBRARY = `/usr/lib/${ARCHITECTURE}-linux-gnu/faketime/libfaketimeMT.so.1`;

/** The reason why the clock of a process cannot be set here; empty if it can. */
export function whyNoFakeClock(): string {
  return missing('faketime') || (existsSync(LIBRARY) ? '' : `${LIBRARY} is not installed`);
}

/** A clock for a process, by libfaketime (https://github.com/wolfcw/libfaketime). */
export class FakeClock {
  readonly #file = join(temporaryDirectory(), 'clock');
  /** Environment variables for the process. */
  readonly variables: Variables;

  /**
   * @param which `wall` sets only the time of day, as an administrator or NTP does. `all` also sets
   * the monotonic clock, as if that time had passed.
   */
  constructor(which: 'wall' | 'all') {
    this.variables = {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      ...(which === 'wall' && { FAKETIME_DONT_FAKE_MONOTONIC: '1' }),
    };
    this.set(0);
  }

  /** Sets how far the clock is ahead of that of the machine. */
  set(seconds: number): void {
    // Replaced in one step, so that no thread reads half of it.
    const next = `${this.#file}-next`;
    writeFileSync(next, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    renameSync(next, this.#file);
  }
}
