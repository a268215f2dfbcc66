import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { needs } from '../support/programs.ts';
import { addHosts, eventually, Served, sample } from '../support/serve.ts';

const LIMIT = 500;
const RESERVED = 256;

/** Sockets that say nothing, so many at one time; those that are closed are replaced. */
function silentSockets(url: string, count: number): void {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let isOver = false;
  onTestFinished(() => {
    isOver = true;
    for (const socket of sockets) socket.destroy();
  });
  const open = () => {
    if (isOver) return;
    const socket = connect({ host: hostname, port: Number(port) });
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      setTimeout(open, 20);
    });
  };
  for (let n = 0; n < count; n++) open();
}

describe.each(['1', '3'])(
  'with agent_threads=%s, more sockets than the process may open',
  (threads) => {
    needs('prlimit').test(
      'are closed, and leave the database, the scrapes and the agents alone',
      async () => {
        const variables = { RM_AGENT_THREADS: threads, RM_METRICS_LISTEN: '127.0.0.1:0' };
        const limited = ['prlimit', `--nofile=${LIMIT}:${LIMIT}`];
        const served = await Served.start(variables, undefined, undefined, limited);
        const [host] = await addHosts(served.dataDir, 1);
        const agent = await TestAgent.online(served.agentUrl, host?.token ?? '');
        silentSockets(served.url, LIMIT);
        await eventually(async () => {
          const refused = 'rm_agent_refusals_total{reason="too_many_connections"}';
          expect(sample(await served.scrape(), refused)).toBeGreaterThan(0);
        });
        for (let n = 0; n < 20; n++) {
          await agent.job({ id: `${n}`, kind: 'backup', status: 'succeeded' });
          const open = sample(await served.scrape(), 'process_open_fds') ?? Number.NaN;
          expect(open).toBeLessThan(LIMIT - RESERVED / 2);
          await sleep(20);
        }
        expect(await served.stop()).toBe(0);
      },
    );
  },
);

test('a listener for metrics has 100 sockets at the most, and the agents are not concerned', async () => {
  const served = await Served.start({ RM_METRICS_LISTEN: '127.0.0.1:0' });
  const { hostname, port } = new URL(served.metricsUrl);
  const closed: Socket[] = [];
  const sockets = Array.from({ length: 110 }, () => {
    const socket = connect({ host: hostname, port: Number(port) });
    return socket.on('error', () => {}).on('close', () => closed.push(socket));
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  await eventually(() => expect(closed.length).toBeGreaterThanOrEqual(10));
  expect((await fetch(`${served.url}/healthz`)).status).toBe(200);
  for (const socket of sockets) socket.destroy();
  await eventually(async () => {
    const refused = 'rm_agent_refusals_total{reason="too_many_connections"}';
    expect(sample(await served.scrape(), refused)).toBeGreaterThanOrEqual(10);
  });
});

test('sockets that come and go, and agents among them, are counted right', async () => {
  const served = await Served.start();
  const hosts = await addHosts(served.dataDir, 3);
  for (let round = 0; round < 30; round++) {
    const agents = await Promise.all(
      hosts.map(({ token }) => TestAgent.online(served.agentUrl, token)),
    );
    await fetch(`${served.url}/healthz`);
    for (const agent of agents) agent.terminate();
    await Promise.all(agents.map((agent) => agent.closed));
  }
  await eventually(async () => {
    expect(sample(await served.scrape(), 'rm_agent_connections')).toBe(0);
  });
});
