import { detailsJson, summaryJson } from '../contract/host-details.ts';
import { encodeCursor, type Query } from '../contract/queries.ts';
import { messageOf, RmError } from '../errors.ts';
import type { JobHistogram } from '../shared/job-histogram.ts';
import { fleetJson } from './fleet-counts.ts';
import { hostsPage } from './hosts-page.ts';
import type { Reads } from './reads.ts';
import type { Roster } from './roster.ts';

/** Counting the running jobs may take this share of the time of the thread. In a small fleet it is not noticeable. */
const COUNTING_SHARE = 1 / 20;

export interface Answered {
  /** What the JSON of the answer contains. */
  readonly content: unknown;
  /** Why a part of it is null, for the log; undefined if nothing failed. */
  readonly lacks?: string;
}

/** Answers the requests of the API. */
export class Queries {
  readonly #roster: Roster;
  readonly #reads: Reads;
  readonly #jobs: JobHistogram;
  readonly #version: string;
  #running: { readonly counts: Promise<ReadonlyMap<string, number>>; until: number } | undefined;

  /** @param version of this package */
  constructor(roster: Roster, reads: Reads, jobs: JobHistogram, version: string) {
    this.#roster = roster;
    this.#reads = reads;
    this.#jobs = jobs;
    this.#version = version;
  }

  /** @throws RmError `no_such_host`, `api_failed`, `api_too_late`, `reading_contended` */
  async answer(query: Query): Promise<Answered> {
    switch (query.name) {
      case 'fleet':
        return this.#fleet();
      case 'hosts': {
        const { hosts, next } = hostsPage(this.#roster.pages(), query, Date.now());
        return {
          content: {
            hosts: hosts.map(summaryJson),
            next: next === undefined ? null : encodeCursor(next),
          },
        };
      }
      case 'host':
        return { content: await this.#host(query.hostId) };
    }
  }

  /** Only the number of running jobs comes from the database. All else is known without it. */
  async #fleet(): Promise<Answered> {
    let running: ReadonlyMap<string, number> | undefined;
    let failed: unknown;
    try {
      running = await this.#countRunning();
    } catch (error) {
      failed = error;
    }
    const content = fleetJson({
      pages: this.#roster.pages(),
      running,
      jobCounts: this.#jobs.read().counts,
      version: this.#version,
      nowMs: Date.now(),
    });
    return failed === undefined ? { content } : { content, lacks: messageOf(failed) };
  }

  async #host(hostId: string): Promise<unknown> {
    if (this.#roster.find(hostId) === undefined) throw noSuchHost(hostId);
    const history = await this.#reads.history(hostId);
    // Again, because the host may have changed during the read.
    const found = this.#roster.find(hostId);
    if (found === undefined) throw noSuchHost(hostId);
    const { page, row } = found;
    return detailsJson({ ...page.summary(row, Date.now()), ...page.platform(row), ...history });
  }

  /** Requests share a count that is being made, and one that was made a moment ago. */
  #countRunning(): Promise<ReadonlyMap<string, number>> {
    const startedAt = performance.now();
    if (this.#running !== undefined && startedAt < this.#running.until) return this.#running.counts;
    const counts = this.#reads.running();
    const running = { counts, until: Number.POSITIVE_INFINITY };
    this.#running = running;
    counts.then(
      () => {
        const now = performance.now();
        running.until = now + (now - startedAt) / COUNTING_SHARE;
      },
      () => {
        running.until = 0;
      },
    );
    return counts;
  }
}

function noSuchHost(hostId: string): RmError {
  return new RmError('no_such_host', `no host has the id ${JSON.stringify(hostId)}`);
}
