import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { addHosts, Served, temporaryDirectory } from '../support/serve.ts';

/** A module that harms a thread of the server from outside, once it is told by SIGUSR2. */
function saboteur(
  thread: 'store' | 'agent-loop' | 'first agent-loop',
  how: 'terminate' | 'throw',
): string {
  const file = join(temporaryDirectory(), 'saboteur.mjs');
  writeFileSync(
    file,
    `import { isMainThread, BroadcastChannel, workerData } from 'node:worker_threads';
    const channel = new BroadcastChannel('sabotage');
    channel.unref();
    if (isMainThread) {
      const victims = [];
      process.on('worker', (worker) => victims.push(worker));
      process.on('SIGUSR2', () => {
        const index = { store: 0, 'agent-loop': 2 }['${thread}'];
        if ('${how}' === 'terminate') victims[index].terminate();
        else channel.postMessage('${thread}');
      });
    } else {
      const own = workerData?.dataDir !== undefined ? 'store' : workerData?.jobs && workerData?.store ? 'agent-loop' : 'render';
      const isFirst = workerData?.store?.loop === 1;
      channel.onmessage = ({ data }) => {
        if (data === own || (isFirst && data === 'first ' + own)) setImmediate(() => { throw new Error('sabotaged'); });
      };
    }`,
  );
  return file;
}

describe.each([
  ['store', 'terminate'],
  ['store', 'throw'],
  ['agent-loop', 'throw'],
  ['first agent-loop', 'throw'],
] as const)('when the thread %s is ended by %s', (thread, how) => {
  test('the process says so and ends with 1, with agents connected', async () => {
    const file = saboteur(thread, how);
    const served = await Served.start({ RM_AGENT_THREADS: '3', NODE_OPTIONS: `--import=${file}` });
    const hosts = await addHosts(served.dataDir, 30);
    const agents = await Promise.all(
      hosts.map(({ token }) => TestAgent.online(served.agentUrl, token)),
    );
    const exited = served.exited();
    process.kill(served.pid, 'SIGUSR2');
    expect(await exited, served.log).toBe(1);
    const codes = new Set(
      (await Promise.all(agents.map(({ closed }) => closed))).map(({ code }) => code),
    );
    // The loops that live say goodbye to their agents.
    const expected = { store: [1012], 'agent-loop': [1006], 'first agent-loop': [1006, 1012] };
    expect([...codes].sort()).toEqual(expected[thread]);
    const fatal = served.log.split('\n').filter((line) => line.includes('"level":"fatal"'));
    expect(fatal).toHaveLength(1);
    if (how === 'throw') expect(fatal[0], 'the cause').toContain('sabotaged');
    expect(fatal[0]).toContain(thread === 'store' ? 'the store thread died' : 'an agent loop died');
  });
});
