import type { JobKind } from '../contract/jobs.ts';
import { between, logNormal } from './random.ts';

export interface RepositoryStats {
  readonly totalSizeBytes: number;
  readonly snapshotCount: number;
}

const GIB = 1024 ** 3;
const EMPTY_BYTES = 1_284; // config and one key
/** The average size of a snapshot, as a share of the usual size. */
const SNAPSHOT_SHARE = 0.008;

/**
 * A model of a restic repository. A backup adds a snapshot and some data. Forget removes old
 * snapshots, and their data stays, unused, until prune removes it.
 */
export class Repository {
  readonly #usualBytes: number;
  readonly #keepsSnapshots: number;
  #used: number;
  #unused = 0;
  #snapshots: number;
  #reported: RepositoryStats | undefined;

  private constructor(usualBytes: number, keepsSnapshots: number, snapshots: number) {
    this.#usualBytes = usualBytes;
    this.#keepsSnapshots = keepsSnapshots;
    this.#used = usualBytes;
    this.#snapshots = snapshots;
  }

  static empty(): Repository {
    return new Repository(EMPTY_BYTES, 0, 0);
  }

  static grown(medianGib: number): Repository {
    const keeps = Math.round(between(14, 60));
    return new Repository(
      logNormal(medianGib, 0.6) * GIB,
      keeps,
      keeps + Math.round(between(0, 7)),
    );
  }

  /** Applies the effect of a successful job. */
  apply(kind: JobKind): void {
    if (kind === 'backup') {
      this.#snapshots++;
      this.#used += this.#usualBytes * between(0, 2 * SNAPSHOT_SHARE);
    } else if (kind === 'forget') {
      const forgotten = Math.max(0, this.#snapshots - this.#keepsSnapshots);
      const freed = this.#used * Math.min(forgotten * SNAPSHOT_SHARE, 0.5);
      this.#snapshots -= forgotten;
      this.#used -= freed;
      this.#unused += freed;
    } else if (kind === 'prune') {
      this.#unused = 0;
    }
  }

  /** Returns undefined if nothing has changed since the last call. */
  changedStats(): RepositoryStats | undefined {
    const totalSizeBytes = Math.round(this.#used + this.#unused);
    const last = this.#reported;
    if (last?.totalSizeBytes === totalSizeBytes && last.snapshotCount === this.#snapshots) {
      return undefined;
    }
    this.#reported = { totalSizeBytes, snapshotCount: this.#snapshots };
    return this.#reported;
  }
}
