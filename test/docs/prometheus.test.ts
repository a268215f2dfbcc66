import { expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { readPage } from '../support/page.ts';
import { needs } from '../support/programs.ts';
import { Prometheus } from '../support/prometheus.ts';
import { eventually, Served, TOKEN } from '../support/serve.ts';

const HOUR = 3_600_000;
const PAGE = readPage('docs/prometheus.md');

/** The queries of the page, each under the sentence that says what it finds. */
const QUERIES = [...PAGE.matchAll(/```promql\n([\s\S]*?)```/g)].map(([, query = '']) => query);

interface Story {
  readonly intervalSeconds?: number;
  readonly backup?: readonly [status: string, hoursAgo: number];
  readonly check?: readonly [status: string, hoursAgo: number];
  readonly leaves?: boolean;
}

const STORIES: Readonly<Record<string, Story>> = {
  fine: { intervalSeconds: 86_400, backup: ['succeeded', 26], check: ['succeeded', 1] },
  failed: { backup: ['failed', 1] },
  'overdue by its interval': { intervalSeconds: 3_600, backup: ['succeeded', 2] },
  'overdue by a day': { backup: ['succeeded', 27], check: ['succeeded', 31 * 24] },
  'new, and offline': { leaves: true },
};

/** What each query finds: the names of hosts, or how many rows. */
const FOUND: readonly (readonly [words: string, hosts: readonly string[] | number])[] = [
  ['rm_host_last_backup_success == 0', ['failed']],
  ['1.1 * rm_host_backup_interval_seconds', ['overdue by its interval']],
  ['26 * 3600', ['overdue by a day']],
  ['unless on (host_id) rm_host_last_backup_success', ['failed', 'new, and offline']],
  ['30 * 86400', ['failed', 'new, and offline', 'overdue by a day', 'overdue by its interval']],
  ['rm_host_agent_online == 0', ['new, and offline']],
  ['rm_hosts_pending', 1],
  ['up{', 0],
  ['absent(', 0],
];

needs('prometheus').describe('useful queries', () => {
  test('find the hosts that they are for, and the control plane that is gone', async () => {
    const served = await Served.start();
    const now = Date.now();
    for (const [name, story] of Object.entries(STORIES)) await tell(served, name, story, now);
    await served.addHost('enrolled only');
    const address = new URL(served.url).host;
    const prometheus = await Prometheus.start([
      { job: 'restic-manager', address, token: TOKEN, labels: {} },
    ]);
    await eventually(async () =>
      expect(await prometheus.query('rm_host_agent_online')).toHaveLength(5),
    );
    expect(QUERIES).toHaveLength(FOUND.length);
    for (const [at, [words, expected]] of FOUND.entries()) {
      const query = QUERIES[at] ?? '';
      expect(query).toContain(words);
      const rows = await prometheus.query(query);
      const hosts = rows.map(({ labels }) => labels.host).sort();
      expect(typeof expected === 'number' ? rows.length : hosts, query).toEqual(expected);
    }
    await served.stop();
    await eventually(async () => {
      const [down, gone] = QUERIES.slice(-2);
      expect(await prometheus.query(down ?? ''), down).toHaveLength(1);
      expect(await prometheus.query(gone ?? ''), gone).toHaveLength(1);
    });
  });
});

async function tell(served: Served, name: string, story: Story, now: number): Promise<void> {
  const { token } = await served.addHost(name);
  const agent = await TestAgent.connect(served.agentUrl, token);
  agent.hello({ backup_interval_seconds: story.intervalSeconds });
  await agent.receive('welcome');
  for (const kind of ['backup', 'check'] as const) {
    const [status, hoursAgo] = story[kind] ?? [];
    if (status === undefined || hoursAgo === undefined) continue;
    const finishedAt = new Date(now - hoursAgo * HOUR).toISOString();
    await agent.job({ id: kind, kind, status, finishedAt });
  }
  if (story.leaves) agent.close();
}
