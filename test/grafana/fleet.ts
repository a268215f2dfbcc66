import { TestAgent } from '../support/agent.ts';
import { finished, report } from '../support/reports.ts';
import type { Served } from '../support/serve.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
export const BACKUP_MS = 42_000;
export const CHECK_MS = 600_000;

interface Story {
  readonly size?: number;
  readonly snapshots?: number;
  readonly backup?: { readonly status: string; readonly agoMs: number };
  readonly failedCheck?: boolean;
  readonly leaves?: boolean;
  readonly hello?: object;
  /** Has no connection. */
  readonly reportsByHttp?: boolean;
  /** A successful backup before the last one. */
  readonly succeededAgoMs?: number;
}

/** One host of everything that the dashboard has a word for. */
export const STORIES = {
  'web-01': { size: 12e9, snapshots: 31, backup: { status: 'succeeded', agoMs: 10 * MINUTE } },
  'db-01': {
    size: 240e9,
    snapshots: 7,
    backup: { status: 'failed', agoMs: 20 * MINUTE },
    succeededAgoMs: 2 * DAY,
    hello: { restic_version: '0.18.1' },
  },
  // Overdue by its own interval only, and not overdue by its own interval only.
  'hourly-01': {
    size: 10e9,
    snapshots: 400,
    backup: { status: 'succeeded', agoMs: 70 * MINUTE },
    hello: { restic_version: '0.17.3', backup_interval_seconds: 3_600 },
  },
  'weekly-01': {
    size: 100e9,
    snapshots: 4,
    backup: { status: 'succeeded', agoMs: 3 * DAY },
    hello: { backup_interval_seconds: 7 * 86_400 },
    reportsByHttp: true,
  },
  'laptop-zoë "2"': {
    size: 60e9,
    snapshots: 12,
    backup: { status: 'succeeded', agoMs: 30 * MINUTE },
    leaves: true,
  },
  'new-01': {},
  'nas-01': { size: 3e12, snapshots: 90, backup: { status: 'succeeded', agoMs: 3 * DAY } },
  'mail-01': {
    size: 400e9,
    snapshots: 5,
    backup: { status: 'succeeded', agoMs: 40 * MINUTE },
    failedCheck: true,
  },
  'gone-01': { size: 9e12, snapshots: 99, backup: { status: 'cancelled', agoMs: DAY / 2 } },
} as const satisfies Record<string, Story>;

export interface Host {
  readonly id: string;
  readonly token: string;
  /** Undefined for a host that reports by HTTP. */
  readonly agent: TestAgent | undefined;
}

/** Enrols the hosts and connects their agents; nothing has happened to them yet. */
export async function enrol(served: Served): Promise<Map<string, Host>> {
  const hosts = new Map<string, Host>();
  for (const [name, { hello, reportsByHttp }] of Object.entries<Story>(STORIES)) {
    const { host_id: id, token } = await served.addHost(name);
    if (reportsByHttp) {
      const payload = { protocol_version: 1, agent_version: '1.0.0', hostname: name, ...hello };
      await report(served.url, token, [{ type: 'hello', payload }]);
      hosts.set(name, { id, token, agent: undefined });
      continue;
    }
    const agent = await TestAgent.connect(served.agentUrl, token);
    agent.hello(hello);
    await agent.receive('welcome');
    hosts.set(name, { id, token, agent });
  }
  return hosts;
}

/** Has the agents tell their stories, and those leave that do. */
export async function tell(
  served: Served,
  hosts: ReadonlyMap<string, Host>,
  nowMs: number,
): Promise<void> {
  for (const [name, story] of Object.entries<Story>(STORIES)) {
    const host = hosts.get(name);
    if (host === undefined) continue;
    const { agent, token } = host;
    const { size, snapshots, backup } = story;
    if (agent === undefined) {
      const finishedMs = nowMs - (backup?.agoMs ?? 0);
      const times = {
        started_at: new Date(finishedMs - BACKUP_MS).toISOString(),
        finished_at: new Date(finishedMs).toISOString(),
      };
      const payload = { total_size_bytes: size, snapshot_count: snapshots, repo_status: 'ready' };
      await report(served.url, token, [finished('backup', times), { type: 'repo.stats', payload }]);
      continue;
    }
    if (size !== undefined) {
      const stats = { total_size_bytes: size, snapshot_count: snapshots, repo_status: 'ready' };
      await agent.report('repo.stats', stats, 'stats');
    }
    if (backup !== undefined) {
      const finishedAt = new Date(nowMs - backup.agoMs).toISOString();
      const { status } = backup;
      await agent.job({ id: 'backup', kind: 'backup', status, finishedAt, durationMs: BACKUP_MS });
    }
    if (story.succeededAgoMs !== undefined) {
      const finishedAt = new Date(nowMs - story.succeededAgoMs).toISOString();
      const job = { id: 'before', kind: 'backup', status: 'succeeded', finishedAt };
      await agent.job({ ...job, durationMs: BACKUP_MS });
    }
    if (story.failedCheck) {
      await agent.job({ id: 'check', kind: 'check', status: 'failed', durationMs: CHECK_MS });
    }
    if (story.leaves) agent.close();
  }
}
