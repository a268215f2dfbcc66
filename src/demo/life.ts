import type { JobKind, JobStatus } from '../contract/jobs.ts';
import type { Fate, Role } from './fleet.ts';
import { between, chance, logNormal, pick } from './random.ts';
import { Repository, type RepositoryStats } from './repository.ts';

export interface Job {
  readonly kind: JobKind;
  readonly status: JobStatus;
  readonly durationMs: number;
  readonly exitCode: number;
  readonly error?: string;
}

/** A job from before the first connection of the agent. */
export interface PastJob extends Job {
  readonly finishedAgoMs: number;
}

const MINUTE = 60;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

interface KindProfile {
  /** Frequency relative to the other kinds. */
  readonly weight: number;
  readonly medianSeconds: number;
  readonly spread: number;
  /** The job reads or writes much data, so its duration depends on the `slowness` of the role. */
  readonly heavy?: true;
}

const KINDS: Readonly<Record<JobKind, KindProfile>> = {
  backup: { weight: 40, medianSeconds: 14 * MINUTE, spread: 1, heavy: true },
  check: { weight: 9, medianSeconds: 40 * MINUTE, spread: 0.8, heavy: true },
  diff: { weight: 5, medianSeconds: 20, spread: 0.8 },
  forget: { weight: 16, medianSeconds: 15, spread: 0.7 },
  init: { weight: 0, medianSeconds: 4, spread: 0.5 },
  prune: { weight: 9, medianSeconds: 25 * MINUTE, spread: 0.9, heavy: true },
  restore: { weight: 5, medianSeconds: 10 * MINUTE, spread: 1.2, heavy: true },
  unlock: { weight: 5, medianSeconds: 1, spread: 0.5 },
  update: { weight: 6, medianSeconds: 10, spread: 0.6 },
};
const KIND_ENTRIES = Object.entries(KINDS) as [JobKind, KindProfile][];
const TOTAL_WEIGHT = KIND_ENTRIES.reduce((sum, [, { weight }]) => sum + weight, 0);

/** Kinds of jobs by fate. Hosts of other fates run all kinds. */
const KINDS_OF: Readonly<Partial<Record<Fate, readonly [JobKind, ...JobKind[]]>>> = {
  never: ['check', 'unlock', 'update'],
  stale: ['check', 'diff', 'restore', 'unlock', 'update'],
  uninitialised: ['init', 'init', 'update'],
};
const ALWAYS_FAILS: Readonly<Partial<Record<Fate, readonly JobKind[]>>> = {
  failing: ['backup'],
  damaged: ['check', 'prune'],
  uninitialised: ['init'],
};
const FAILS_BY_CHANCE = 0.015;
const LONGEST_MS = 3 * DAY_MS;

interface Failure {
  readonly exitCode: number;
  readonly error: string;
}

/** Exit codes of restic: https://restic.readthedocs.io/en/stable/075_scripting.html#exit-codes */
const FAILURES: readonly [Failure, ...Failure[]] = [
  { exitCode: 1, error: 'Fatal: unable to open repository: dial tcp: i/o timeout' },
  { exitCode: 1, error: 'Fatal: unable to save file: no space left on device' },
  { exitCode: 11, error: 'Fatal: repository is already locked exclusively' },
];
const LASTING_FAILURES: Readonly<Partial<Record<Fate, Failure>>> = {
  failing: { exitCode: 12, error: 'Fatal: wrong password or no key found' },
  damaged: { exitCode: 1, error: 'Fatal: repository contains errors' },
  uninitialised: { exitCode: 1, error: 'Fatal: create repository failed: access denied' },
};
const CANCELLED_EXIT_CODE = 130;

/**
 * The jobs of one host and the state of its repository. It has no timers: the caller decides when a
 * job runs.
 */
export class HostLife {
  readonly #role: Role;
  readonly #fate: Fate;
  readonly #repository: Repository | undefined;

  constructor({ role, fate }: { readonly role: Role; readonly fate: Fate }) {
    this.#role = role;
    this.#fate = fate;
    if (fate === 'never') this.#repository = Repository.empty();
    else if (fate !== 'uninitialised') this.#repository = Repository.grown(role.sizeGib);
  }

  /** The jobs that the agent reports when it first connects, oldest first. */
  past(): PastJob[] {
    const past = (kind: JobKind, finishedAgoMs: number, status = this.#statusOf(kind)) => ({
      ...this.#job(kind, status),
      finishedAgoMs,
    });
    if (this.#fate === 'uninitialised') return [past('init', between(1, 5) * HOUR_MS)];
    const made = past('init', between(60, 400) * DAY_MS, 'succeeded');
    if (this.#fate === 'never') return [made];
    const lastBackup =
      this.#fate === 'stale' ? between(8, 12) * DAY_MS : between(0.1, 20) * HOUR_MS;
    const jobs = [
      made,
      past('check', lastBackup + 2 * DAY_MS, 'succeeded'),
      past('backup', lastBackup + DAY_MS, 'succeeded'),
      past('backup', lastBackup),
    ];
    return this.#fate === 'damaged' ? [...jobs, past('check', lastBackup / 2)] : jobs;
  }

  /** Returns the next job and applies its effect to the repository. */
  next(): Job {
    const kinds = KINDS_OF[this.#fate];
    const kind = kinds ? pick(kinds) : anyKind();
    const job = this.#job(kind, this.#statusOf(kind));
    if (job.status === 'succeeded') this.#repository?.apply(kind);
    return job;
  }

  /**
   * Returns undefined if there is no repository or its statistics have not changed since the last
   * call.
   */
  changedStats(): RepositoryStats | undefined {
    return this.#repository?.changedStats();
  }

  #statusOf(kind: JobKind): JobStatus {
    if (ALWAYS_FAILS[this.#fate]?.includes(kind)) return 'failed';
    if (chance(kind === 'backup' ? this.#role.cancels : 0.005)) return 'cancelled';
    return chance(FAILS_BY_CHANCE) ? 'failed' : 'succeeded';
  }

  #job(kind: JobKind, status: JobStatus): Job {
    const durationMs = this.#durationMs(kind);
    switch (status) {
      case 'succeeded':
        return { kind, status, durationMs, exitCode: 0 };
      case 'cancelled':
        return {
          kind,
          status,
          durationMs: Math.round(durationMs * between(0.05, 0.9)),
          exitCode: CANCELLED_EXIT_CODE,
        };
      case 'failed': {
        const lasting = ALWAYS_FAILS[this.#fate]?.includes(kind) && LASTING_FAILURES[this.#fate];
        // Most failures occur early in a job.
        const failedAfterMs = Math.round(durationMs * between(0.01, 0.4));
        return { kind, status, durationMs: failedAfterMs, ...(lasting || pick(FAILURES)) };
      }
    }
  }

  #durationMs(kind: JobKind): number {
    const { medianSeconds, spread, heavy } = KINDS[kind];
    const median = medianSeconds * 1_000 * (heavy ? this.#role.slowness : 1);
    return Math.round(Math.min(logNormal(median, spread), LONGEST_MS));
  }
}

function anyKind(): JobKind {
  let at = Math.random() * TOTAL_WEIGHT;
  for (const [kind, { weight }] of KIND_ENTRIES) {
    at -= weight;
    if (at < 0) return kind;
  }
  return 'backup';
}
