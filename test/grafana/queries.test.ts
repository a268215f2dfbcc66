import { expect, test } from 'vitest';
import { interpolate } from '../../grafana/interpolate.ts';
import { TestAgent } from '../support/agent.ts';
import { freePort } from '../support/free-port.ts';
import { needs } from '../support/programs.ts';
import { Prometheus, type RangeSeries } from '../support/prometheus.ts';
import { cli, eventually, Served, TOKEN } from '../support/serve.ts';
import { DASHBOARD, type Query } from './committed.ts';
import { BACKUP_MS, CHECK_MS, enrol, type Host, STORIES, tell } from './fleet.ts';
import { chosen, table, values } from './shown.ts';

const ONE = { instance: 'one:8080' };
const OF_ONE = chosen([ONE.instance]);

/** Linear within the bucket of 30 to 60 s, and that of 300 to 1800 s. */
const BACKUP_P95 = 30 + 0.95 * 30;
const CHECK_P95 = 300 + 0.95 * 1500;
const TOTAL = Object.keys(STORIES).length;

needs('prometheus').describe('dashboard', () => {
  test('every query of every panel shows the fleet as it is, also over a removal and a restart', async () => {
    const startedAt = Date.now() / 1000;
    const address = `127.0.0.1:${await freePort()}`;
    const served = await Served.start({ RM_LISTEN: address });
    const hosts = await enrol(served);
    const prometheus = await Prometheus.start([
      { job: 'restic-manager', address, token: TOKEN, labels: ONE },
    ]);
    // A job counts for p95 only if the histogram was seen before.
    await eventually(async () =>
      expect(await prometheus.query('rm_job_duration_seconds_count')).toHaveLength(27),
    );
    const now = Date.now();
    await tell(served, hosts, now);
    await eventually(async () => {
      expect(await table(prometheus, OF_ONE, now)).toEqual([
        'new-01 | never backed up | online | never | never | none yet | unknown | 0 | 0 | 1.0.0 | unknown',
        'db-01 | failed | online | 20 min ago | 2 days ago | failed | 223.5 GiB | 7 | 1 | 1.0.0 | 0.18.1',
        'gone-01 | failed | online | 12 hours ago | never | failed | 8.2 TiB | 99 | 1 | 1.0.0 | unknown',
        'hourly-01 | overdue | online | 1.2 hour ago | 1.2 hour ago | succeeded | 9.3 GiB | 400 | 0 | 1.0.0 | 0.17.3',
        'nas-01 | overdue | online | 3 days ago | 3 days ago | succeeded | 2.7 TiB | 90 | 0 | 1.0.0 | unknown',
        'laptop-zoë "2" | offline | offline | 30 min ago | 30 min ago | succeeded | 55.9 GiB | 12 | 0 | 1.0.0 | unknown',
        'mail-01 | alerts | online | 40 min ago | 40 min ago | succeeded | 372.5 GiB | 5 | 1 | 1.0.0 | unknown',
        'web-01 | ok | online | 10 min ago | 10 min ago | succeeded | 11.2 GiB | 31 | 0 | 1.0.0 | unknown',
        'weekly-01 | ok | reports | 3 days ago | 3 days ago | succeeded | 93.1 GiB | 4 | 0 | 1.0.0 | unknown',
      ]);
      expect(await values(prometheus, OF_ONE)).toEqual({
        'Fleet status A': [TOTAL - 1],
        'Fleet status B': [TOTAL],
        'Fleet status C': [expect.closeTo((TOTAL - 1) / TOTAL)],
        'Open alerts A': ['critical 1', 'info 0', 'warning 2'],
        'Backups failing A': [2],
        'Repo size over time A': sizes(
          'web-01',
          'db-01',
          'laptop-zoë "2"',
          'nas-01',
          'mail-01',
          'gone-01',
          'hourly-01',
          'weekly-01',
        ),
        'Job duration p95 A': [`backup ${BACKUP_P95}`, `check ${CHECK_P95}`],
      });
    });
    expect(await variableValues(prometheus)).toEqual({
      instance: [ONE.instance],
      host: Object.keys(STORIES).sort(),
    });

    await cli(['hosts', 'remove', idOf(hosts, 'gone-01')], { RM_DATA_DIR: served.dataDir });
    await eventually(async () => {
      const shown = await table(prometheus, OF_ONE, now);
      expect(shown.filter((row) => row.startsWith('gone'))).toEqual([]);
      expect(shown).toHaveLength(TOTAL - 1);
      expect(await values(prometheus, OF_ONE)).toEqual({
        'Fleet status A': [TOTAL - 2],
        'Fleet status B': [TOTAL - 1],
        'Fleet status C': [expect.closeTo((TOTAL - 2) / (TOTAL - 1))],
        'Open alerts A': ['critical 1', 'info 0', 'warning 1'],
        'Backups failing A': [1],
        'Repo size over time A': sizes(
          'web-01',
          'db-01',
          'laptop-zoë "2"',
          'nas-01',
          'mail-01',
          'hourly-01',
          'weekly-01',
        ),
        'Job duration p95 A': [`backup ${BACKUP_P95}`, `check ${CHECK_P95}`],
      });
    });

    await served.stop();
    // An outage is "no data", and no good news: the share is 0, and nothing else has a value.
    await eventually(async () => {
      const shown = await values(prometheus, OF_ONE);
      expect(Object.entries(shown).filter(([, found]) => found.length > 0)).toEqual([
        ['Fleet status C', [0]],
        // Counts of the hour before; that they end does not change how long jobs took.
        ['Job duration p95 A', [`backup ${BACKUP_P95}`, `check ${CHECK_P95}`]],
      ]);
      expect(await table(prometheus, OF_ONE, now)).toEqual([]);
    });
    const again = await Served.start({ RM_LISTEN: address }, served.dataDir);
    const back = await TestAgent.online(again.agentUrl, tokenOf(hosts, 'web-01'));
    await eventually(async () => {
      expect(await prometheus.value('rm_hosts_online'), 'and the one that reports').toBe(2);
      expect(await prometheus.query('rm_job_duration_seconds_count > 0')).toEqual([]);
    });
    const finishedAt = new Date().toISOString();
    await back.job({
      id: 'b2',
      kind: 'backup',
      status: 'succeeded',
      finishedAt,
      durationMs: BACKUP_MS,
    });
    await back.job({
      id: 'c2',
      kind: 'check',
      status: 'succeeded',
      finishedAt,
      durationMs: CHECK_MS,
    });
    await eventually(async () => {
      expect(await prometheus.value('sum(rm_job_duration_seconds_count)')).toBe(2);
      expect(await values(prometheus, OF_ONE)).toMatchObject({
        'Fleet status A': [2],
        'Open alerts A': ['critical 1', 'info 0', 'warning 1'],
        'Backups failing A': [1],
        'Job duration p95 A': [`backup ${BACKUP_P95}`, `check ${CHECK_P95}`],
      });
    });

    // As all of it looks on a time axis: nothing negative, no spike above what there ever was.
    const range = { start: startedAt, end: Date.now() / 1000, step: 1 };
    const largest = new Map<string, number>();
    for (const query of OF_ONE) {
      const points = flat(await prometheus.queryRange(query.expr, range));
      expect(points, `${query.panel} ${query.refId} has no line`).not.toEqual([]);
      expect(points.filter((value) => !Number.isFinite(value) || value < 0)).toEqual([]);
      largest.set(`${query.panel} ${query.refId}`, Math.max(...points));
    }
    expect(Object.fromEntries(largest)).toEqual({
      'Fleet status A': TOTAL,
      'Fleet status B': TOTAL,
      'Fleet status C': 1,
      'Open alerts A': expect.toSatisfy((value) => value <= 2),
      'Backups failing A': 2,
      'Hosts A': expect.toSatisfy((value) => value < 10),
      'Hosts B': 2,
      'Hosts C': expect.toSatisfy((value) => value <= Date.now()),
      'Hosts D': expect.toSatisfy((value) => value <= Date.now()),
      'Hosts E': 1,
      'Hosts F': STORIES['gone-01'].size,
      'Hosts G': STORIES['hourly-01'].snapshots,
      'Hosts H': 1,
      'Hosts I': 1,
      'Repo size over time A': STORIES['gone-01'].size,
      'Job duration p95 A': expect.closeTo(CHECK_P95, 6),
    });
  });

  test('replicas count once, control planes do not blur, and a host is found by any name', async () => {
    const [first, second] = [await Served.start(), await Served.start()];
    const name = 'a.b+(c)|"d"\\e';
    const [one, two] = [await first.addHost(name), await second.addHost(name)];
    const other = await first.addHost('aXb');
    for (const { token } of [one, other]) {
      const agent = await TestAgent.online(first.agentUrl, token);
      await agent.report('repo.stats', { total_size_bytes: 5, snapshot_count: 3 }, 's');
      await agent.job({ id: '1', kind: 'backup', status: 'failed' });
    }
    const agent = await TestAgent.online(second.agentUrl, two.token);
    await agent.report('repo.stats', { total_size_bytes: 8, snapshot_count: 3 }, 's');
    await agent.job({ id: '1', kind: 'backup', status: 'failed' });

    const TWO = { instance: '[::1]:8080' };
    const [address, elsewhere] = [new URL(first.url).host, new URL(second.url).host];
    const prometheus = await Prometheus.start([
      { job: 'a', address, token: TOKEN, labels: { ...ONE, replica: 'a' } },
      { job: 'b', address, token: TOKEN, labels: { ...ONE, replica: 'b' } },
      { job: 'c', address: elsewhere, token: TOKEN, labels: TWO },
    ]);
    await eventually(async () =>
      expect(await prometheus.query('rm_host_open_alerts')).toHaveLength(5),
    );
    const without = ['Job duration p95 A'];
    const seen = async (of: readonly Query[]) =>
      Object.fromEntries(
        Object.entries(await values(prometheus, of)).filter(([key]) => !without.includes(key)),
      );
    expect(await seen(OF_ONE)).toEqual({
      'Fleet status A': [2],
      'Fleet status B': [2],
      'Fleet status C': [1],
      'Open alerts A': ['critical 0', 'info 0', 'warning 2'],
      'Backups failing A': [2],
      'Repo size over time A': [`${name} 5`, 'aXb 5'],
    });
    expect(await seen(chosen([TWO.instance]))).toEqual({
      'Fleet status A': [1],
      'Fleet status B': [1],
      'Fleet status C': [1],
      'Open alerts A': ['critical 0', 'info 0', 'warning 1'],
      'Backups failing A': [1],
      'Repo size over time A': [`${name} 8`],
    });
    expect(await seen(chosen([ONE.instance, TWO.instance], [name]))).toEqual({
      'Fleet status A': [3],
      'Fleet status B': [3],
      'Fleet status C': [1],
      'Open alerts A': ['critical 0', 'info 0', 'warning 3'],
      'Backups failing A': [2],
      'Repo size over time A': [`${name} 5`, `${name} 8`],
    });
    expect(await seen(chosen('all'))).toMatchObject({ 'Fleet status A': [3] });
    expect(await seen(chosen(['nowhere:1']))).toMatchObject({ 'Fleet status C': [0] });
  });

  test('a fleet without a host has no share of online hosts, and hosts without a backup are none that fail', async () => {
    const served = await Served.start();
    const address = new URL(served.url).host;
    const prometheus = await Prometheus.start([{ job: 'x', address, token: TOKEN, labels: ONE }]);
    await eventually(async () =>
      expect(await values(prometheus, OF_ONE)).toMatchObject({
        'Fleet status B': [0],
        'Fleet status C': [],
        'Backups failing A': [],
      }),
    );
    const { token } = await served.addHost('new');
    await TestAgent.online(served.agentUrl, token);
    await eventually(async () =>
      expect(await values(prometheus, OF_ONE)).toMatchObject({ 'Backups failing A': [0] }),
    );
  });
});

/** What the variables that ask Prometheus offer. */
async function variableValues(prometheus: Prometheus) {
  const offered: Record<string, string[]> = {};
  for (const { name, type, query } of DASHBOARD.templating.list ?? []) {
    if (type !== 'query' || typeof query !== 'object') continue;
    expect(DASHBOARD.templating.list?.find((one) => one.name === name)).toMatchObject({
      includeAll: true,
      allValue: '.*',
      current: { value: ['$__all'] },
    });
    const [, selector = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(query.query) ?? [];
    const choices = { instance: 'all', host: 'all', window: '1h', rangeSeconds: 1 } as const;
    const series = await prometheus.query(interpolate(selector, choices));
    offered[name] = [...new Set(series.map(({ labels }) => labels[label] ?? ''))].sort();
  }
  return offered;
}

function sizes(...names: readonly Exclude<keyof typeof STORIES, 'new-01'>[]): string[] {
  return names.map((name) => `${name} ${STORIES[name].size}`).sort();
}

function flat(series: readonly RangeSeries[]): number[] {
  return series.flatMap(({ points }) => points.map(([, value]) => value));
}

function idOf(hosts: ReadonlyMap<string, Host>, name: string): string {
  return hosts.get(name)?.id ?? '';
}

function tokenOf(hosts: ReadonlyMap<string, Host>, name: string): string {
  return hosts.get(name)?.token ?? '';
}
