import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory, type Variables } from './serve.ts';

const LIBRARY = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';

/** Undefined if the clock of a process can be set here, or else why not. CI must be able to. */
export function whyNoFakeClock(): string | undefined {
  if (existsSync(LIBRARY)) return undefined;
  if (process.env.CI) throw new Error("CI needs Debian's faketime");
  return "Debian's faketime is not installed";
}

/** A clock for a process of its own, by libfaketime (https://github.com/wolfcw/libfaketime). */
export class FakeClock {
  readonly #file = join(temporaryDirectory(), 'clock');
  /** For the environment of the process. */
  readonly variables: Variables;

  /**
   * @param which `wall`: only the time of day is set, as an administrator or NTP does it. `all`: the monotonic
   *   clock, too, as if the time had passed.
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

  /** From now on the clock is that far ahead of the machine's. */
  set(seconds: number): void {
    // In one step, so that no thread reads half of it.
    const next = `${this.#file}-next`;
    writeFileSync(next, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    renameSync(next, this.#file);
  }
}
