import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { CrowdOrders, CrowdReport } from './crowd-process.ts';

const PROCESS = fileURLToPath(new URL('./crowd-process.ts', import.meta.url));
/** Each agent needs an open file, of which many systems allow 20,000 to a process. */
const AGENTS_PER_PROCESS = 10_000;

/** An acknowledged finish. */
export interface Acknowledged {
  readonly port: number;
  /** Milliseconds since 1970. */
  readonly sentAt: number;
  readonly ms: number;
}

/** Agents in processes of their own. */
export class Crowd {
  /** Acknowledged finishes since the start. */
  acknowledged = 0;
  readonly #processes: readonly ChildProcess[];

  /** The agents connect to the ports in turn. */
  constructor(ports: readonly number[], tokens: readonly string[]) {
    const count = Math.ceil(tokens.length / AGENTS_PER_PROCESS);
    this.#processes = Array.from({ length: count }, (_, index) => {
      const child = fork(PROCESS, { serialization: 'advanced' });
      const own = tokens.filter((_, token) => token % count === index);
      child.send({ connect: { ports, tokens: own } } satisfies CrowdOrders);
      return child;
    });
  }

  load(load: { readonly perSecond: number } | { readonly inFlight: number } | 'none'): void {
    const count = this.#processes.length;
    const part = (all: number) => Math.round(all / count);
    let each: CrowdOrders['load'] = 'none';
    if (load !== 'none') {
      each =
        'perSecond' in load
          ? { perSecond: load.perSecond / count }
          : { inFlight: part(load.inFlight) };
    }
    for (const child of this.#processes) child.send({ load: each } satisfies CrowdOrders);
  }

  /** What happened since the last report. */
  async report(): Promise<{ welcome: number; unanswered: number; finishes: Acknowledged[] }> {
    const reports = await Promise.all(
      this.#processes.map(async (child): Promise<CrowdReport> => {
        const answer = once(child, 'message');
        child.send({ report: true } satisfies CrowdOrders);
        return (await answer)[0];
      }),
    );
    const finishes = reports.flatMap(({ acknowledged }) => {
      const found: Acknowledged[] = [];
      for (let at = 0; at < acknowledged.length; at += 3) {
        const [port = 0, sentAt = 0, ms = 0] = acknowledged.subarray(at, at + 3);
        found.push({ port, sentAt, ms });
      }
      return found;
    });
    this.acknowledged += finishes.length;
    const sum = (value: (report: CrowdReport) => number) =>
      reports.reduce((all, report) => all + value(report), 0);
    return {
      welcome: sum(({ welcome }) => welcome),
      unanswered: sum(({ unanswered }) => unanswered),
      finishes,
    };
  }

  end(): void {
    for (const child of this.#processes) child.disconnect();
  }
}
