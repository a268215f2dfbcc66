import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { startAttack } from './under-attack.ts';

const EMBEDDER = fileURLToPath(new URL('./embedder.ts', import.meta.url));

test('a flood at /metrics on the app of an embedder does not hold its loop', async () => {
  const child = spawn(process.execPath, [EMBEDDER], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = await once(child.stdout, 'data');
  const port = Number(String(line));
  for (const repeat of [
    'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n',
    'HEAD /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n',
    'GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n',
  ]) {
    const attack = startAttack({ port, seconds: 2, repeat, reads: true });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const waited: number[] = [];
    for (let n = 0; n < 20; n++) {
      const askedAt = performance.now();
      expect(await (await fetch(`http://127.0.0.1:${port}/own`)).text()).toBe('own');
      waited.push(performance.now() - askedAt);
    }
    expect(Math.max(...waited), repeat).toBeLessThan(500);
    expect((await attack).connections, 'cut off').toBeGreaterThan(1);
  }
  const headers = { Authorization: 'Bearer secret' };
  const body = await (await fetch(`http://127.0.0.1:${port}/metrics`, { headers })).text();
  const families = [...body.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
  const aboutServer = families.filter(
    (name) => !/^rm_(active_alerts|build_info|host|job|shard)/.test(name),
  );
  expect(aboutServer).toEqual([
    'rm_scrape_duration_seconds',
    'rm_scrapes_cut_off_total',
    'rm_scrapes_total',
  ]);
});
