import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { freePort } from '../support/free-port.ts';
import { codeBlock, readPage } from '../support/page.ts';
import { NO_POSTGRES, postgresForAll } from '../support/postgres.ts';
import { missing, pathOf, unless } from '../support/programs.ts';
import { Prometheus } from '../support/prometheus.ts';
import { finished, postBody } from '../support/reports.ts';
import { cli, eventually, Served, TOKEN, temporaryDirectory } from '../support/serve.ts';

const AGENTS = 2_800;
const REPORTERS = 200;
/** Mean time between two finishes of an agent. */
const PAUSE_MS = 6_000;
const COUNTED = 'rm_job_duration_seconds_count';

/** An agent that connects again, and sends again what was not acknowledged, until it is told to stop. */
class Agent {
  acknowledged = 0;
  readonly #url: string;
  readonly #token: string;
  #socket: WebSocket | undefined;
  #unanswered: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopping = false;
  #isClosed = false;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
    this.#connect();
  }

  get isOnline(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends no further finish. Settled once the last one is acknowledged. */
  stop(): void {
    this.#isStopping = true;
  }

  get isSettled(): boolean {
    return this.#isStopping && this.#unanswered === undefined;
  }

  start(): void {
    this.#isStopping = false;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#socket?.terminate();
  }

  #connect(): void {
    const socket = new WebSocket(this.#url, {
      headers: { Authorization: `Bearer ${this.#token}` },
    });
    this.#socket = socket;
    socket.on('open', () => {
      const payload = { protocol_version: 1, agent_version: '1', hostname: 'x' };
      socket.send(JSON.stringify({ type: 'hello', payload }));
    });
    socket.on('message', (data) => {
      const { type, payload } = JSON.parse(String(data));
      if (type === 'welcome') this.#work();
      if (type === 'error') throw new Error(String(data));
      if (type !== 'ack' || this.#unanswered === undefined) return;
      if (!this.#unanswered.includes(`"id":"${payload.id}"`)) return;
      this.#unanswered = undefined;
      this.acknowledged++;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(this.#timer);
      if (!this.#isClosed) setTimeout(() => this.#connect(), Math.random() * 2_000);
    });
  }

  #work(): void {
    if (this.#unanswered !== undefined) this.#socket?.send(this.#unanswered);
    const next = () => {
      this.#timer = setTimeout(next, Math.random() * 2 * PAUSE_MS);
      if (this.#unanswered !== undefined || this.#isStopping) return;
      this.#unanswered = JSON.stringify(finished(`job-${this.acknowledged}`));
      this.#socket?.send(this.#unanswered);
    };
    this.#timer = setTimeout(next, Math.random() * 2 * PAUSE_MS);
  }
}

const REASON = NO_POSTGRES || missing('haproxy', 'prometheus');

unless(REASON).describe('three control planes', async () => {
  if (REASON !== '') return;
  const server = await postgresForAll();

  it('agree with the database and Prometheus on every finish, over a killed one and a restart of the database', async () => {
    const url = server.createDatabase();
    const ports = [await freePort(), await freePort(), await freePort()];
    const start = (index: number) =>
      Served.start({
        RM_DATABASE_URL: url,
        RM_METRICS_SHARD: `${index}/3`,
        RM_LISTEN: `127.0.0.1:${ports[index]}`,
      });
    const served = await Promise.all([0, 1, 2].map(start));
    const address = await startHaproxy(ports);
    const prometheus = await Prometheus.start(
      ports.map((port, index) => ({
        job: `part-${index}`,
        address: `127.0.0.1:${port}`,
        token: TOKEN,
      })),
    );

    const names = Array.from({ length: AGENTS + REPORTERS }, (_, n) => `host-${n}`);
    const added = await cli(
      ['hosts', 'add', '--stdin'],
      { RM_DATABASE_URL: url },
      names.join('\n'),
    );
    const tokens = added.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).token);
    const agents: Agent[] = [];
    onTestFinished(() => {
      for (const agent of agents) agent.close();
    });
    for (const token of tokens.slice(0, AGENTS)) {
      agents.push(new Agent(`ws://${address}/ws/agent`, token));
      if (agents.length % 100 === 0) await sleep(50);
    }
    await eventually(
      () => expect(agents.filter(({ isOnline }) => !isOnline)).toHaveLength(0),
      60_000,
    );
    let reports = 0;
    const reporting = tokens.slice(AGENTS).map((token) => async (id: string) => {
      const body = JSON.stringify([finished(id)]);
      await eventually(async () => {
        expect((await postBody(`http://${address}`, token, body)).status).toBe(200);
      }, 60_000);
      reports++;
    });
    const reportAll = async (id: string) => {
      for (const report of reporting) await report(id);
    };

    await reportAll('before');
    await sleep(5_000);
    await served[0]?.stop('SIGKILL');
    await Promise.all([reportAll('while one is gone'), sleep(8_000)]);
    served[0] = await start(0);
    await sleep(5_000);
    server.stop();
    await sleep(1_000);
    server.run();
    await Promise.all([reportAll('after a restart of the database'), sleep(8_000)]);

    for (const agent of agents) agent.stop();
    await eventually(
      () => expect(agents.filter(({ isSettled }) => !isSettled)).toEqual([]),
      60_000,
    );
    const acknowledged = agents.reduce((sum, agent) => sum + agent.acknowledged, 0) + reports;
    const stored = (sql: string) => Number(server.sql(sql, url));
    expect(stored('SELECT count(*) FROM jobs WHERE status IS NOT NULL')).toBe(acknowledged);
    expect(acknowledged).toBeGreaterThan(AGENTS);

    // The one that was killed has taken its histogram with it. The database knows what it had counted.
    const living = '(SELECT max(instance) FROM instances GROUP BY shard)';
    const counted = stored(`SELECT count(*) FROM jobs WHERE instance IN ${living}`);
    await eventually(async () => {
      const bodies = await Promise.all(served.map((one) => one.scrape()));
      expect(bodies.reduce((sum, body) => sum + total(body), 0)).toBe(counted);
      expect(await prometheus.value(`sum(${COUNTED})`)).toBe(counted);
      expect(await prometheus.value('sum(rm_hosts_total)')).toBe(AGENTS + REPORTERS);
      expect(await prometheus.value('sum(rm_hosts_online)')).toBe(AGENTS + REPORTERS);
      expect(await prometheus.value('count(count by (host_id) (rm_host_agent_online))')).toBe(
        AGENTS + REPORTERS,
      );
      expect(await prometheus.query('count by (host_id) (rm_host_agent_online) > 1')).toEqual([]);
      expect(Object.values(await prometheus.lastErrors()).join('')).toBe('');
    }, 60_000);
    expect(
      stored(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`),
    ).toBe(0);
    for (const agent of agents) agent.close();
    for (const one of served) expect(await one.stop()).toBe(0);
  }, 300_000);

  it('serve every connection as soon as one of them has stopped', async () => {
    const { port } = new URL((await Served.start()).url);
    const address = await startHaproxy([Number(port), Number(port), await freePort()]);
    // HAProxy needs three health checks, each after 2 s, to know that the third one has stopped.
    for (let n = 0; n < 12; n++) {
      const { status } = await fetch(`http://${address}/healthz`, {
        headers: { Connection: 'close' },
      });
      expect(status).toBe(200);
    }
  });
});

function total(body: string): number {
  const counts = [...body.matchAll(/^rm_job_duration_seconds_count\{.*\} (\d+)$/gm)];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

/** HAProxy as docs/scaling.md configures it. @returns its address */
async function startHaproxy(ports: readonly number[]): Promise<string> {
  const port = await freePort();
  const [one, two, three] = ports;
  const configuration = codeBlock(readPage('docs/scaling.md'), 'haproxy')
    .replace('bind :8080', `bind 127.0.0.1:${port}`)
    .replace('192.0.2.11:8080', `127.0.0.1:${one}`)
    .replace('192.0.2.12:8080', `127.0.0.1:${two}`)
    .replace('192.0.2.13:8080', `127.0.0.1:${three}`);
  const file = join(temporaryDirectory(), 'haproxy.cfg');
  writeFileSync(file, `global\n    maxconn 8000\n${configuration}`);
  const proxy = spawn(pathOf('haproxy'), ['-db', '-q', '-f', file], { stdio: 'inherit' });
  onTestFinished(() => void proxy.kill('SIGKILL'));
  await eventually(async () => {
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });
  return `127.0.0.1:${port}`;
}
