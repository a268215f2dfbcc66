import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { addHosts, Served, sample } from '../support/serve.ts';

test('the newest connection of a host stays, also if its hello overtakes that of the one before', async () => {
  // With several loops, the hellos of two connections go different ways to the store.
  const served = await Served.start({ RM_AGENT_THREADS: '3' });
  const hosts = await addHosts(served.dataDir, 30);
  for (let round = 0; round < 10; round++) {
    const agents = await Promise.all(
      hosts.map(async ({ token }) => {
        const first = await TestAgent.connect(served.agentUrl, token);
        first.hello();
        first.terminate();
        return TestAgent.online(served.agentUrl, token);
      }),
    );
    await sleep(50);
    for (const agent of agents) expect(agent.isClosed).toBe(false);
    expect(sample(await served.scrape(), 'rm_hosts_online')).toBe(hosts.length);
    for (const agent of agents) agent.terminate();
  }
});
