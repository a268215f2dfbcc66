import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import type { ResultFile } from '../../bench/support/result.ts';
import { temporaryDirectory } from '../support/serve.ts';

const RUN = fileURLToPath(new URL('../../bench/run.ts', import.meta.url));

it('npm run bench -- observe --quick: every contestant is measured beside the floor', async () => {
  const file = join(temporaryDirectory(), 'observe.json');
  await promisify(execFile)(process.execPath, [RUN, 'observe', '--quick', '--json', file]);

  const { bench, quick, measured, rows }: ResultFile = JSON.parse(readFileSync(file, 'utf8'));
  expect({ bench, quick, command: measured.command }).toEqual({
    bench: 'observe',
    quick: true,
    command: 'npm run bench -- observe --quick',
  });
  for (const threads of [1, 2]) {
    const alike = rows.filter((row) => row.scenario.threads === threads);
    expect(alike.map(({ contestant }) => contestant)).toEqual([
      'Atomics.add',
      'ours, handle',
      'ours, strings',
      'prom-client, child kept',
      'prom-client, labels()',
      'OpenTelemetry',
    ]);
    for (const { median, p25, p75, count } of alike) {
      expect(count).toBeGreaterThan(0);
      expect(p25).toBeGreaterThan(0);
      expect([p25, median, p75]).toEqual([p25, median, p75].sort((a, b) => a - b));
    }
  }
});

it('an unknown bench is refused with the names of those that there are', async () => {
  const refused = promisify(execFile)(process.execPath, [RUN, 'obsrve']);
  await expect(refused).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^unknown bench obsrve\n[\s\S]*observe, render, scrape/),
  });
});
