import {
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  request,
} from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { needs } from '../support/programs.ts';
import { lint, Prometheus } from '../support/prometheus.ts';
import { cli, eventually, Served, TOKEN } from '../support/serve.ts';

const SUCCEEDED_BACKUPS =
  'rm_job_duration_seconds_count{job="direct",kind="backup",status="succeeded"}';

needs('prometheus', 'promtool').describe('Prometheus', () => {
  test('scrapes the fleet: up, finishes, compression, staleness', async () => {
    const served = await Served.start();
    const { host_id: id, token } = await served.addHost('näs "1"');
    const doomed = await served.addHost('doomed');
    const agent = await TestAgent.online(served.agentUrl, token);
    await TestAgent.online(served.agentUrl, doomed.token);
    const middleman = await Middleman.start(served.url);
    const prometheus = await Prometheus.start([
      { job: 'direct', address: new URL(served.url).host, token: TOKEN },
      { job: 'overheard', address: middleman.address, token: TOKEN },
      { job: 'stranger', address: new URL(served.url).host, token: 'wrong' },
    ]);
    await eventually(async () => {
      expect(await prometheus.value('up{job="direct"}')).toBe(1);
      expect(await prometheus.value('up{job="overheard"}')).toBe(1);
      expect(await prometheus.value('up{job="stranger"}')).toBe(0);
    });
    // Not at once: on a busy machine a scrape may miss its timeout of a second.
    await eventually(async () => {
      expect(await prometheus.lastErrors()).toEqual({
        direct: '',
        overheard: '',
        stranger: expect.stringContaining('401'),
      });
      expect(await prometheus.query(`rm_host_agent_online{job="direct",host_id="${id}"}`)).toEqual([
        {
          labels: {
            __name__: 'rm_host_agent_online',
            instance: new URL(served.url).host,
            job: 'direct',
            host: 'näs "1"',
            host_id: id,
          },
          value: 1,
        },
      ]);
    });

    // The series is there from the start, at zero, so that its first increase is not lost.
    await eventually(async () => expect(await prometheus.value(SUCCEEDED_BACKUPS)).toBe(0));
    await agent.job({ id: '1', kind: 'backup', status: 'succeeded', durationMs: 42_000 });
    await eventually(async () => {
      expect(await prometheus.value(`increase(${SUCCEEDED_BACKUPS}[1m])`)).toBeGreaterThan(0);
    });
    await eventually(async () => {
      const all = 'rm_job_duration_seconds_count{job="direct"}';
      expect(await prometheus.query(all)).toHaveLength(27);
      const seconds = SUCCEEDED_BACKUPS.replace('_count', '_sum');
      expect(await prometheus.value(seconds)).toBe(42);
    });

    const overheard = middleman.exchanges.at(-1);
    expect(overheard?.asked['accept-encoding']).toBe('gzip');
    expect(overheard?.asked['x-prometheus-scrape-timeout-seconds']).toBe('1');
    expect(overheard?.answered['content-encoding']).toBe('gzip');

    const ofDoomed = `{job="direct",host_id="${doomed.host_id}"}`;
    await eventually(async () => expect(await prometheus.query(ofDoomed)).not.toEqual([]));
    await cli(['hosts', 'remove', doomed.host_id], { RM_DATA_DIR: served.dataDir });
    // Without a staleness marker, Prometheus would show the last value for five minutes.
    await eventually(async () => {
      expect(await prometheus.query(ofDoomed)).toEqual([]);
      expect(await prometheus.value(`rm_host_agent_online{job="direct",host_id="${id}"}`)).toBe(1);
    });
  });

  test('promtool takes offence at two names that stay, and at nothing else', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('a "quoted" \\ name');
    const agent = await TestAgent.online(served.agentUrl, token);
    await agent.report('repo.stats', { total_size_bytes: 5e12, snapshot_count: 3 }, 's');
    await agent.job({ id: '1', kind: 'backup', status: 'failed', durationMs: 1500 });
    const { code, output } = await lint(await served.scrape());
    expect(output.trim().split('\n').sort()).toEqual([
      'rm_host_snapshot_count non-histogram and non-summary metrics should not have "_count" suffix',
      'rm_hosts_total non-counter metrics should not have "_total" suffix',
    ]);
    expect(code, 'parsed, but frowned at').toBe(3);
  });
});

/** Passes requests on to `serve` and notes the headers of both sides. */
class Middleman {
  readonly address: string;
  readonly exchanges: { asked: IncomingHttpHeaders; answered: IncomingHttpHeaders }[] = [];

  private constructor(address: string) {
    this.address = address;
  }

  static async start(origin: string): Promise<Middleman> {
    let middleman: Middleman | undefined;
    const server = createServer((incoming, outgoing) => {
      const headers: OutgoingHttpHeaders = incoming.headers;
      const passedOn = request(origin + incoming.url, { headers }, (answer) => {
        middleman?.exchanges.push({ asked: incoming.headers, answered: answer.headers });
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      passedOn.on('error', () => outgoing.destroy());
      incoming.pipe(passedOn);
    });
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('no port');
    middleman = new Middleman(`127.0.0.1:${address.port}`);
    return middleman;
  }
}
