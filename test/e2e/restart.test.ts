import { expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { freePort } from '../support/free-port.ts';
import { Served } from '../support/serve.ts';

test.each(['SIGTERM', 'SIGKILL'] as const)(
  'starts at once on the port that it had, after %s',
  async (signal) => {
    const address = `127.0.0.1:${await freePort()}`;
    const served = await Served.start({ RM_LISTEN: address });
    const { token } = await served.addHost('web');
    // The server closes this one, so it is the server's end of it that lingers in TIME_WAIT.
    await TestAgent.online(served.agentUrl, token);
    await served.stop(signal);
    const again = await Served.start({ RM_LISTEN: address }, served.dataDir);
    expect(again.url).toBe(served.url);
    await TestAgent.online(again.agentUrl, token);
  },
);

test('shares its port with no second one', async () => {
  const chosen = `127.0.0.1:${await freePort()}`;
  await Served.start({ RM_LISTEN: chosen });
  const given = new URL((await Served.start()).url).host;
  for (const taken of [chosen, given]) {
    await expect(Served.start({ RM_LISTEN: taken })).rejects.toThrow(
      `serve ended with 1: restic-manager: ${taken}: cannot listen; is the port taken`,
    );
  }
});
