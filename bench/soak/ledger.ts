import { SERIES_COUNT } from '../../src/contract/jobs.ts';

/**
 * The finishes of a host. Index: the number of the job. Value: the series that it counts in
 * (`seriesIndex`). Jobs that have not finished are holes.
 */
export type Finishes = readonly (number | undefined)[];

/** All finishes that the server has acknowledged. They must be on disk and in its histogram. */
export interface Acknowledged {
  /** Finishes of the hosts that are not removed, by host id. */
  readonly hosts: ReadonlyMap<string, Finishes>;
  /**
   * Counts of all removed hosts, by series. Their jobs are not on disk any more, but they stay
   * counted.
   */
  readonly removed: readonly number[];
}

export class Ledger implements Acknowledged {
  readonly hosts = new Map<string, (number | undefined)[]>();
  readonly removed: number[] = noCounts();
  /** Number of distinct finishes, including those of removed hosts. */
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

/** The number of acknowledged finishes, by series. */
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
