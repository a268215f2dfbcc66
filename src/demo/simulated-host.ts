import { setTimeout as sleep } from 'node:timers/promises';
import { packageVersion } from '../platform/build-info.ts';
import type { Activity } from './activity.ts';
import { AgentClient } from './agent-client.ts';
import type { PlannedHost } from './fleet.ts';
import { HostLife, type Job } from './life.ts';
import { between } from './random.ts';

export interface SimulatedHostOptions {
  readonly plan: PlannedHost;
  readonly token: string;
  readonly url: string;
  /** Average pause between two jobs in milliseconds. */
  readonly pauseMs: number;
  readonly activity: Activity;
}

const VERSION = packageVersion();

/**
 * A host and its agent. Each job takes seconds, but the agent reports minutes or hours.
 */
export class SimulatedHost {
  readonly #plan: PlannedHost;
  readonly #life: HostLife;
  readonly #client: AgentClient;
  readonly #pauseMs: number;
  readonly #activity: Activity;
  #lastJob = 0;

  constructor({ plan, token, url, pauseMs, activity }: SimulatedHostOptions) {
    this.#plan = plan;
    this.#life = new HostLife(plan);
    this.#pauseMs = pauseMs;
    this.#activity = activity;
    this.#client = new AgentClient({
      url,
      token,
      hello: {
        protocol_version: 1,
        agent_version: VERSION,
        hostname: plan.host,
        restic_version: '0.18.1',
        os: 'linux',
        arch: 'amd64',
        backup_interval_seconds: 86_400,
        boot_time: isoTime(Date.now() - between(1, 60) * 86_400_000),
      },
      onPresence: (connected) => activity.add('connected', connected ? 1 : -1),
    });
  }

  /** Runs the host. Resolves only for a host that disconnects for good. */
  async run(): Promise<void> {
    this.#client.connect();
    await this.#reportPast();
    if (this.#plan.fate === 'gone') {
      await sleep(between(2_000, 6_000));
      await this.#client.disconnect();
      return;
    }
    if (this.#plan.fate === 'flaky') void this.#dropOutNowAndThen();
    for (;;) {
      await sleep(between(0.1, 1.9) * this.#pauseMs);
      await this.#runJob(this.#life.next());
    }
  }

  /** Reports jobs whose start was never reported. Such a finish must contain the kind and the start. */
  async #reportPast(): Promise<void> {
    const reports = this.#life.past().map(({ finishedAgoMs, ...job }) => {
      const finishedAt = Date.now() - finishedAgoMs;
      const startedAt = isoTime(finishedAt - job.durationMs);
      return this.#finish(this.#newJobId(), job, finishedAt, {
        kind: job.kind,
        started_at: startedAt,
      });
    });
    await Promise.all([...reports, this.#reportStats()]);
  }

  /** Runs a job for seconds, and reports a start that is `durationMs` before its end. */
  async #runJob(job: Job): Promise<void> {
    const takesMs = between(300, 3_000);
    const finishedAt = Date.now() + takesMs;
    const id = this.#newJobId();
    // Not awaited: a disconnected agent continues its jobs and reports them after it has
    // reconnected.
    void this.#client.report('job.started', {
      job_id: id,
      kind: job.kind,
      started_at: isoTime(finishedAt - job.durationMs),
    });
    await sleep(takesMs);
    void this.#finish(id, job, finishedAt);
    void this.#reportStats();
  }

  async #finish(id: string, job: Job, finishedAt: number, unannounced?: object): Promise<void> {
    await this.#client.report('job.finished', {
      job_id: id,
      status: job.status,
      finished_at: isoTime(finishedAt),
      exit_code: job.exitCode,
      error: job.error,
      summary: job.kind === 'backup' ? { bytes_added: addedBytes() } : undefined,
      ...unannounced,
    });
    this.#activity.add('jobsFinished', 1);
    if (job.status === 'failed') this.#activity.add('jobsFailed', 1);
  }

  async #reportStats(): Promise<void> {
    const stats = this.#life.changedStats();
    if (stats === undefined) return;
    await this.#client.report('repo.stats', {
      total_size_bytes: stats.totalSizeBytes,
      snapshot_count: stats.snapshotCount,
    });
  }

  async #dropOutNowAndThen(): Promise<void> {
    for (;;) {
      await sleep(between(15_000, 60_000));
      await this.#client.disconnect();
      await sleep(between(5_000, 20_000));
      this.#client.connect();
    }
  }

  #newJobId(): string {
    return `demo-${++this.#lastJob}`;
  }
}

/** From 1 MB to 1 GB, mostly little. */
function addedBytes(): number {
  return Math.round(10 ** between(6, 9));
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
