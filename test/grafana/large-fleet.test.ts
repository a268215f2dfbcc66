import { expect, test } from 'vitest';
import { tableOf } from '../../grafana/preview/table.ts';
import { TestAgent } from '../support/agent.ts';
import { needs } from '../support/programs.ts';
import { Prometheus } from '../support/prometheus.ts';
import { addHosts, eventually, Served, TOKEN } from '../support/serve.ts';
import { panel, queries } from './committed.ts';

const HOUR = 3_600_000;
const INSTANCE = 'one:8080';
const QUERIES = queries({ instance: [INSTANCE], host: 'all', window: '1h', rangeSeconds: 3600 });

needs('prometheus').describe('dashboard', () => {
  test('a host is overdue when its last backup is 27 hours old, and not when it is 25', async () => {
    const served = await Served.start();
    const now = Date.now();
    for (const [host, hours] of [
      ['in time', 25],
      ['late', 27],
    ] as const) {
      const agent = await TestAgent.online(served.agentUrl, (await served.addHost(host)).token);
      const finishedAt = new Date(now - hours * HOUR).toISOString();
      await agent.job({ id: '1', kind: 'backup', status: 'succeeded', finishedAt });
    }
    const prometheus = await scraping(served);
    await eventually(async () => {
      const frames = new Map<string, Awaited<ReturnType<Prometheus['query']>>>();
      for (const { panel, refId, expr } of QUERIES) {
        if (panel === 'Hosts') frames.set(String(refId), await prometheus.query(expr));
      }
      const { rows } = tableOf(panel('Hosts'), frames, now);
      expect(rows.map(([host, state]) => `${host?.text}: ${state?.text} ${state?.color}`)).toEqual([
        'late: overdue orange',
        'in time: ok green',
      ]);
    });
  });

  test('of 51 hosts the 50 that are largest at the end have a line, over all of the time', async () => {
    const served = await Served.start();
    const hosts = await addHosts(served.dataDir, 51);
    const agents = await Promise.all(
      hosts.map(({ token }) => TestAgent.online(served.agentUrl, token)),
    );
    const report = (host: number, size: number) =>
      agents[host]?.report('repo.stats', { total_size_bytes: size }, `${size}`);
    await Promise.all(hosts.map((_, host) => report(host, 100 + host)));
    const prometheus = await scraping(served);
    const sizes = () => prometheus.query('rm_host_repo_size_bytes');
    await eventually(async () => expect(await sizes()).toHaveLength(51));
    const startedAt = Date.now() / 1000;
    await sleepUntil(startedAt + 2);
    // The smallest becomes the largest, so that another one is the smallest now.
    await report(0, 1_000);
    const newest = 'max(rm_host_repo_size_bytes)';
    await eventually(async () => expect(await prometheus.value(newest)).toBe(1_000));
    const end = Date.now() / 1000;
    const lines = QUERIES.find((query) => query.panel === 'Repo size over time');
    const series = await prometheus.queryRange(lines?.expr ?? '', {
      start: startedAt,
      end,
      step: 1,
    });
    const named = series.map(({ labels }) => labels.host).sort();
    expect(named).toEqual(
      hosts
        .map(({ host }) => host)
        .filter((host) => host !== 'host-1')
        .sort(),
    );
    const counts = new Set(series.map(({ points }) => points.length));
    expect([...counts], 'no line comes or goes').toEqual([Math.max(...counts, 3)]);
  });
});

async function scraping(served: Served): Promise<Prometheus> {
  const address = new URL(served.url).host;
  return Prometheus.start([{ job: 'x', address, token: TOKEN, labels: { instance: INSTANCE } }]);
}

function sleepUntil(unixSeconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, unixSeconds * 1000 - Date.now()));
}
