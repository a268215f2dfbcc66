import { SERIES_COUNT } from '../../src/contract/jobs.ts';

/**
 * The finishes of a host: at the number of the job, the series that it counts in (`seriesIndex`). Jobs that have not
 * finished are holes.
 */
export type Finishes = readonly (number | undefined)[];

/** What the server has acknowledged, and so must have on disk and in its histogram. */
export interface Acknowledged {
  /** Of hosts that were not removed, by host id. */
  readonly hosts: ReadonlyMap<string, Finishes>;
  /** Of removed hosts together, by series: their jobs are gone from the disk, but were counted. */
  readonly removed: readonly number[];
}

export class Ledger implements Acknowledged {
  readonly hosts = new Map<string, (number | undefined)[]>();
  readonly removed: number[] = noCounts();
  /** Finishes, each once, also those of removed hosts. */
  total = 0;

  enrol(hostId: string): void {
    this.hosts.set(hostId, []);
  }

  acknowledge(hostId: string, job: number, series: number): void {
    const finishes = this.hosts.get(hostId);
    if (finishes === undefined) throw new Error(`${hostId}: acknowledged after it was removed`);
    finishes[job] = series;
    this.total++;
  }

  remove(hostId: string): void {
    addCounts(this.removed, this.hosts.get(hostId) ?? []);
    this.hosts.delete(hostId);
  }
}

/** How many finishes of each series were acknowledged, by series. */
export function countsOf({ hosts, removed }: Acknowledged): number[] {
  const counts = [...removed];
  for (const finishes of hosts.values()) addCounts(counts, finishes);
  return counts;
}

export function noCounts(): number[] {
  return new Array<number>(SERIES_COUNT).fill(0);
}

export function sum(counts: readonly number[]): number {
  return counts.reduce((all, count) => all + count, 0);
}

function addCounts(counts: number[], finishes: Finishes): void {
  for (const series of finishes) {
    if (series !== undefined) counts[series] = (counts[series] ?? 0) + 1;
  }
}
