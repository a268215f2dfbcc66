import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { addHosts, Served } from '../support/serve.ts';
import { startAttack } from './under-attack.ts';

const CROWD = fileURLToPath(new URL('./crowd.ts', import.meta.url));
const AGENTS = 100;
/** A crash showed in two of three rounds. `SHUTDOWN_ROUNDS=50` has more of them. */
const ROUNDS = Number(process.env.SHUTDOWN_ROUNDS ?? 4);

interface Crowd {
  /** The crowd goes home; @returns close codes of agents by how often they came */
  leave(): Promise<Record<string, number>>;
}

async function crowdAt(served: Served, tokens: readonly string[]): Promise<Crowd> {
  const port = Number(new URL(served.url).port);
  const crowd = JSON.stringify({ port, tokens, healthChecks: 20, silent: 20 });
  const child = spawn(process.execPath, [CROWD, crowd], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  while (!output.includes('ready\n')) await once(child.stdout, 'data');
  return {
    async leave() {
      child.stdin.end();
      await once(child, 'exit');
      return JSON.parse(output.replace('ready\n', ''));
    },
  };
}

describe.each(['1', '3'])('SIGTERM with agent_threads=%s', (threads) => {
  test.each(Array.from({ length: ROUNDS }, (_, round) => round + 1))(
    'exits with 0 while clients connect (round %i)',
    async () => {
      const served = await Served.start({ RM_AGENT_THREADS: threads });
      const hosts = await addHosts(served.dataDir, AGENTS);
      const crowd = await crowdAt(
        served,
        hosts.map(({ token }) => token),
      );
      const startedAt = performance.now();
      expect(await served.stop()).toBe(0);
      expect(performance.now() - startedAt).toBeLessThan(10_000);
      const closeCodes = await crowd.leave();
      expect(closeCodes['1012']).toBeGreaterThanOrEqual(AGENTS);
      for (const line of served.log.trim().split('\n'))
        expect(() => JSON.parse(line)).not.toThrow();
    },
  );

  test.each([
    ['GET /healthz', { repeat: 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n' }],
    [
      'job.started',
      {
        opcode: 1,
        repeat:
          '{"type":"job.started","id":"{n}","payload":{"job_id":"{n}","kind":"backup","started_at":"2026-01-02T03:04:05Z"}}',
      },
    ],
  ])('exits with 0 during a flood of %s, and tells idle agents', async (_, flood) => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const hosts = await addHosts(served.dataDir, AGENTS + 1);
    const tokens = hosts.map(({ token }) => token);
    const hostile = tokens.pop() ?? '';
    const crowd = await crowdAt(served, tokens);
    const upgradeWith = `GET /ws/agent HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${hostile}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;
    const greeting =
      '{"type":"hello","payload":{"protocol_version":1,"agent_version":"1","hostname":"x"}}';
    const attack = startAttack({
      port: Number(new URL(served.url).port),
      seconds: 4,
      reads: true,
      ...flood,
      ...('opcode' in flood && { upgradeWith, greeting }),
    });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const startedAt = performance.now();
    expect(await served.stop()).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect((await crowd.leave())['1012']).toBeGreaterThanOrEqual(AGENTS);
    await attack;
  });
});
