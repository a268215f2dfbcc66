import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { codeBlock, readPage } from '../support/page.ts';
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
