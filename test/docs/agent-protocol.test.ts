import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { codeBlock, readPage } from '../support/page.ts';
import { needs } from '../support/programs.ts';
import { Served, sample, temporaryDirectory } from '../support/serve.ts';

const page = readPage('docs/agent-protocol.md');

test('the agent of docs/agent-protocol.md runs as it stands and prints what the page says', async () => {
  const server = await Served.start();
  const { host_id, token } = await server.addHost('web-1');
  const program = join(temporaryDirectory(), 'agent.mjs');
  writeFileSync(program, codeBlock(page, 'js'));
  const agent = spawn(process.execPath, [program], {
    env: { ...process.env, RM_URL: server.agentUrl, RM_HOST_TOKEN: token },
    stdio: ['ignore', 'pipe', 'inherit'],
  });

  const printed = await text(agent.stdout);

  expect(printed.trimEnd()).toBe(codeBlock(page, 'text').trimEnd().replace('01KBXW…', host_id));
  const body = await server.scrape();
  const series = 'rm_job_duration_seconds_sum{kind="backup",status="succeeded"}';
  expect(sample(body, series)).toBeCloseTo(93.5, 1);
});

test('that agent says why it cannot connect, and fails', async () => {
  const server = await Served.start();
  const program = join(temporaryDirectory(), 'agent.mjs');
  writeFileSync(program, codeBlock(page, 'js'));
  const agent = spawn(process.execPath, [program], {
    env: { ...process.env, RM_URL: server.agentUrl, RM_HOST_TOKEN: 'rmh_wrong' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(agent, 'exit');
  expect(await text(agent.stderr)).toMatch(/^cannot connect to ws:.* \(a wrong token/);
  expect(await exited).toEqual([1, null]);
});

needs('curl').test(
  'the request of docs/agent-protocol.md gets the answer that the page shows',
  async () => {
    const server = await Served.start();
    const { token } = await server.addHost('web-1');
    const section = page.slice(page.indexOf('## Reports by HTTP'));
    const command = codeBlock(section, 'sh').replace('http://127.0.0.1:8080', server.url);
    const env = { ...process.env, RM_HOST_TOKEN: token };
    const { stdout } = spawnSync('sh', ['-c', command], { env, encoding: 'utf8' });
    expect(stdout).toBe(codeBlock(section, 'text'));
  },
);
