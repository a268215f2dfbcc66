/*
 * Takes pictures of the status page of the demo, light and dark, for the README: docs/images/status-page-*.png.
 * Options: `--write` replaces those pictures; without it they are temporary files. `--hosts N` and `--width N`
 * (pixels) take others.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const SECONDS = 30;
const root = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const { values } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    hosts: { type: 'string', default: '100' },
    width: { type: 'string', default: '1100' },
  },
});
const directory = values.write
  ? root('docs/images')
  : mkdtempSync(join(tmpdir(), 'restic-manager-screenshot-'));

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
const demo = spawn(process.execPath, [root('src/cli.ts'), 'demo', '--hosts', values.hosts], {
  env: { ...process.env, RM_LISTEN: '127.0.0.1:0' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  const address = await addressOf(demo);
  await setTimeout(SECONDS * 1_000);
  for (const colorScheme of ['light', 'dark']) {
    const viewport = { width: Number(values.width), height: 640 };
    const page = await browser.newPage({ viewport, colorScheme });
    await page.goto(address);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await setTimeout(12_000); // two polls: jobs per minute
    const path = join(directory, `status-page-${colorScheme}.png`);
    await page.screenshot({ path });
    console.log(path);
  }
} finally {
  await browser.close();
  demo.kill('SIGINT');
}

function addressOf(child) {
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('exit', () => reject(new Error(`the demo ended: ${text}`)));
    child.stdout.on('data', (chunk) => {
      text += chunk;
      const [address] = /http:\S+#token=\S+/.exec(text) ?? [];
      if (address !== undefined) resolve(address);
    });
  });
}
