import { expect, test } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { NO_POSTGRES, postgresForAll } from '../support/postgres.ts';
import { missing, unless } from '../support/programs.ts';
import { Prometheus } from '../support/prometheus.ts';
import { eventually, Served, TOKEN } from '../support/serve.ts';
import { enrol, STORIES, tell } from './fleet.ts';
import { chosen, table, values } from './shown.ts';

const REASON = NO_POSTGRES || missing('prometheus');
const ALL = chosen('all');
const NAMES = Object.keys(STORIES).sort();
const SHOWN = 'count(max by (host_id) (rm_host_agent_online))';

unless(REASON).describe('dashboard of several control planes', async () => {
  if (REASON !== '') return;
  const server = await postgresForAll();

  test('every host is there once with one part, with three, and while there will be four', async () => {
    const url = server.createDatabase();
    const ports = [await freePort(), await freePort(), await freePort(), await freePort()];
    const start = (index: number, count: number) =>
      Served.start({
        RM_DATABASE_URL: url,
        RM_METRICS_SHARD: `${index}/${count}`,
        RM_LISTEN: `127.0.0.1:${ports[index]}`,
      });
    const prometheus = await Prometheus.start(
      ports.map((port, index) => ({
        job: `part-${index}`,
        address: `127.0.0.1:${port}`,
        token: TOKEN,
      })),
    );
    const parts = new Map([[0, await start(0, 1)]]);
    const first = parts.get(0) as Served;
    const hosts = await enrol(first);
    const now = Date.now();
    await tell(first, hosts, now);
    const rows = async () => (await table(prometheus, ALL, now)).map((row) => row.split(' | ')[0]);
    const seesEveryHostOnce = () =>
      eventually(async () => expect((await rows()).sort()).toEqual(NAMES));
    const seesTheWholeFleet = () =>
      eventually(async () => {
        expect((await rows()).sort()).toEqual(NAMES);
        expect(await values(prometheus, ALL)).toMatchObject({
          'Fleet status B': [NAMES.length],
          'Open alerts A': ['critical 1', 'info 0', 'warning 2'],
          'Backups failing A': [2],
        });
      });
    await seesTheWholeFleet();

    // From one part to three: new ones first, then the first one is told.
    for (const index of [1, 2]) parts.set(index, await start(index, 3));
    await first.stop();
    parts.set(0, await start(0, 3));
    await seesTheWholeFleet();
    expect(await prometheus.query('count by (host_id) (rm_host_agent_online) > 1')).toEqual([]);

    // From three to four. While both are there, a host may be in two targets, and it has one row.
    const addedAt = Date.now() / 1_000;
    parts.set(3, await start(3, 4));
    await eventually(async () =>
      expect(await prometheus.query('rm_shard{shards="4"}')).toHaveLength(1),
    );
    await seesEveryHostOnce();
    const complete = await prometheus.queryRange(SHOWN, {
      start: addedAt,
      end: Date.now() / 1_000,
      step: 1,
    });
    const counts = complete.flatMap(({ points }) => points.map(([, hosts]) => hosts));
    expect(new Set(counts), 'hosts shown while a part was added').toEqual(new Set([NAMES.length]));
    for (const index of [0, 1, 2]) {
      await parts.get(index)?.stop();
      parts.set(index, await start(index, 4));
      await seesEveryHostOnce();
    }
    await seesTheWholeFleet();
    expect(await prometheus.query('count by (host_id) (rm_host_agent_online) > 1')).toEqual([]);
    expect(await prometheus.value('count by (shards) (rm_shard)')).toBe(4);
  }, 120_000);
});
