// Makes the pictures of the status page for the README, from the demo: npm run screenshot
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
/** Until the demo has reported some backups, and the page knows how many jobs finish per minute. */
const DEMO_MS = 15_000;
const PAGE_MS = 12_000;

const demo = spawn(
  process.execPath,
  [root('src/cli.ts'), 'demo', '--hosts', '100', '--listen', '127.0.0.1:0'],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
try {
  const address = await addressOfPage();
  await sleep(DEMO_MS);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await browser.newPage({ viewport: { width: 1_100, height: 640 }, colorScheme });
    await page.goto(address);
    await page.locator('#hosts li').first().waitFor();
    await sleep(PAGE_MS);
    const path = root(`docs/images/status-page-${colorScheme}.png`);
    await page.screenshot({ path });
    console.log(path);
  }
  await browser.close();
} finally {
  demo.kill();
  await once(demo, 'exit');
}

/** The demo prints it. */
function addressOfPage(): Promise<string> {
  let text = '';
  return new Promise((resolve, reject) => {
    demo.stdout.on('data', (chunk) => {
      text += chunk;
      const address = /http:\S+#token=\S+/.exec(text)?.[0];
      if (address !== undefined) resolve(address);
    });
    demo.once('exit', () => reject(new Error(`the demo ended: ${text}`)));
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
