import { setTimeout as sleep } from 'node:timers/promises';
import { Churn } from './churn.ts';
import type { SoakOptions } from './command-line.ts';
import { finishesOnDisk } from './disk.ts';
import { sum } from './ledger.ts';
import { Load } from './load.ts';
import { countsIn, Scrapes } from './scrapes.ts';
import { SoakServer } from './server.ts';
import type { Findings, MemorySample } from './verdict.ts';

/** Intervals of the actions, and the minimum number of times in a short soak. */
const PACES = {
  gzipScrape: { ms: 1_000, times: 10 },
  plainScrape: { ms: 7_000, times: 3 },
  memory: { ms: 5_000, times: 15 },
  churn: { ms: 5_000, times: 4 },
  progress: { ms: 10_000, times: 2 },
} as const;
const FAREWELL_LIMIT_MS = 15_000;

/** Progress that is reported during the soak. */
export interface Progress {
  readonly seconds: number;
  readonly online: number;
  readonly acknowledged: number;
  /** Finishes acknowledged per second since the last report. */
  readonly rate: number;
  readonly residentBytes: number;
  readonly scrapeMs: readonly number[];
}

export interface Outcome extends Findings {
  readonly hostsAdded: number;
  readonly hostsRemoved: number;
}

/**
 * Runs the soak.
 * @throws Error if it could not complete, for example because the server died
 */
export async function soak(
  options: SoakOptions,
  tell: (progress: Progress) => void,
): Promise<Outcome> {
  const server = await SoakServer.start(options.threads);
  const load = new Load({ url: server.agentUrl, rate: options.rate });
  const run = new Soak(options, server, load, tell);
  try {
    return await Promise.race([run.run(), server.died, load.died]);
  } finally {
    await load.close();
  }
}

class Soak {
  readonly #options: SoakOptions;
  readonly #server: SoakServer;
  readonly #load: Load;
  readonly #tell: (progress: Progress) => void;
  readonly #churn: Churn;
  readonly #scrapes: Scrapes;
  readonly #memory: MemorySample[] = [];
  readonly #faults: string[] = [];
  readonly #ms: number;
  #startedAt = 0;

  constructor(
    options: SoakOptions,
    server: SoakServer,
    load: Load,
    tell: (progress: Progress) => void,
  ) {
    this.#options = options;
    this.#server = server;
    this.#load = load;
    this.#tell = tell;
    this.#churn = new Churn(server, load);
    this.#scrapes = new Scrapes(server.url);
    this.#ms = options.minutes * 60_000;
  }

  async run(): Promise<Outcome> {
    await this.#churn.add(this.#options.agents);
    this.#startedAt = performance.now();
    let before = { at: this.#startedAt, acknowledged: 0 };
    await Promise.all([
      this.#atPace('gzipScrape', () => this.#scrape('gzip')),
      this.#atPace('plainScrape', () => this.#scrape('identity')),
      this.#oneByOne('memory', () => this.#sampleMemory()),
      this.#oneByOne('churn', () => this.#churn.step()),
      this.#oneByOne('progress', async () => {
        before = this.#tellProgress(before);
      }),
      sleep(this.#ms / 2).then(() => this.#load.tell('storm', undefined)),
    ]);
    return this.#end();
  }

  /** Ends the soak in this order: waits for unanswered messages, scrapes, stops the server, reads its database. */
  async #end(): Promise<Outcome> {
    const { acknowledged, unanswered } = await this.#load.tell('settle', undefined);
    const body = await this.#scrapes.scrape('gzip');
    this.#scrapes.close();
    const farewell = this.#load.tell('farewell', undefined);
    const exit = await this.#server.stop();
    const tooLong = sleep(FAREWELL_LIMIT_MS, 'too long', { ref: false });
    if ((await Promise.race([farewell, tooLong])) === 'too long') {
      this.#faults.push('not every agent received the close code for a restart');
    }
    const surprises = [...this.#load.state.surprises].map(([what, times]) => `${times} x ${what}`);
    return {
      seconds: this.#ms / 1_000,
      scrapeLimitMs: this.#options.scrapeLimitMs,
      memory: this.#memory,
      acknowledged,
      unanswered,
      shown: countsIn(body ?? ''),
      onDisk: await finishesOnDisk(this.#server.dataDir),
      scrapeMs: this.#scrapes.ms,
      stderr: this.#server.stderr,
      exit,
      faults: [
        ...this.#faults,
        ...this.#churn.faults,
        ...this.#scrapes.failures.map((failure) => `a scrape: ${failure}`),
        ...surprises,
      ],
      hostsAdded: this.#churn.added,
      hostsRemoved: this.#churn.removed,
    };
  }

  /**
   * The next scrape must show every acknowledged finish, so the count in a scrape cannot be lower
   * than the number acknowledged before it.
   */
  async #scrape(encoding: 'gzip' | 'identity'): Promise<void> {
    const { acknowledged } = this.#load.state;
    const body = await this.#scrapes.scrape(encoding);
    if (body === undefined) return;
    const shown = sum(countsIn(body));
    if (shown >= acknowledged) return;
    this.#faults.push(`a scrape showed ${shown} finishes after ${acknowledged} were acknowledged`);
  }

  async #sampleMemory(): Promise<void> {
    const bytes = await this.#server.residentBytes();
    this.#memory.push({ seconds: this.#elapsedMs() / 1_000, bytes });
  }

  #tellProgress(before: { at: number; acknowledged: number }) {
    const { online, acknowledged } = this.#load.state;
    const at = performance.now();
    this.#tell({
      seconds: this.#elapsedMs() / 1_000,
      online,
      acknowledged,
      rate: (acknowledged - before.acknowledged) / ((at - before.at) / 1_000),
      residentBytes: this.#memory.at(-1)?.bytes ?? Number.NaN,
      scrapeMs: this.#scrapes.ms,
    });
    return { at, acknowledged };
  }

  /** Starts `work` at each interval even if the previous one has not ended, as Prometheus does. */
  async #atPace(pace: keyof typeof PACES, work: () => Promise<void>): Promise<void> {
    const works: Promise<void>[] = [];
    await this.#oneByOne(pace, async () => void works.push(work()));
    await Promise.all(works);
  }

  async #oneByOne(pace: keyof typeof PACES, work: () => Promise<void>): Promise<void> {
    const { ms, times } = PACES[pace];
    const pause = Math.min(ms, this.#ms / times);
    for (let due = pause; due <= this.#ms; due = Math.max(due + pause, this.#elapsedMs())) {
      await sleep(Math.max(0, due - this.#elapsedMs()));
      await work();
    }
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }
}
