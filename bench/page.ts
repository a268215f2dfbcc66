import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { SqliteEngine } from '../src/store-thread/sqlite/engine.ts';
import { fillFleet } from './api/fleets.ts';
import { type BenchDefinition, fleetSizes } from './support/bench.ts';
import { type Row, rowsOf, type Unit } from './support/result.ts';
import { ServerProcess } from './support/server-process.ts';

const CHROMIUM = '/usr/bin/chromium';
const VISITS = 20;
/** Notes when the first host is in the document, in ms since the address was opened. */
const NOTE_FIRST_HOST = `new MutationObserver((_, observer) => {
  if (document.querySelector('#hosts li') === null) return;
  window.firstHostAt = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });`;

export const page: BenchDefinition = {
  name: 'page',
  question: 'How soon does the status page show the worst hosts, and how much does it load?',
  async run(options) {
    if (!existsSync(CHROMIUM)) return { rows: [], notes: ['Chromium is not installed'] };
    const browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    });
    try {
      const rows: Row[] = [];
      for (const hosts of fleetSizes(options, [100, 100_000])) {
        options.progress.scenario(`${hosts} hosts`);
        rows.push(...(await visits(browser, hosts, options.quick ? 2 : VISITS)));
      }
      return {
        rows,
        notes: [
          'Each visit is a new browser context without a cache, over loopback. The time ends when the first host with its state is in the document. It includes the document, its script, and the answers of the API.',
          'Before the visits, one request has started the thread that answers the API.',
        ],
      };
    } finally {
      await browser.close();
    }
  },
};

async function visits(browser: Browser, hosts: number, count: number): Promise<Row[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
  try {
    const engine = SqliteEngine.open(dataDir, { serves: true, onForgottenJobs: () => {} });
    fillFleet(engine, hosts, 0);
    engine.close();
    const server = await ServerProcess.start({
      kind: 'control plane',
      hosts,
      dataDir,
      isFilled: true,
    });
    const url = `http://127.0.0.1:${server.port}`;
    await (await fetch(`${url}/api/fleet`)).arrayBuffer();
    const times: number[] = [];
    const kib: number[] = [];
    const plainKib: number[] = [];
    for (let visit = 0; visit < count; visit++) {
      const context = await browser.newContext();
      const opened = await context.newPage();
      await opened.addInitScript(NOTE_FIRST_HOST);
      await opened.goto(`${url}/`);
      await opened.locator('#hosts li').first().waitFor();
      times.push(await opened.evaluate<number>('window.firstHostAt'));
      const [sent = 0, whole = 0] = await opened.evaluate<number[]>(
        `(({ transferSize, decodedBodySize }) => [transferSize, decodedBodySize])(
          performance.getEntriesByType('navigation')[0])`,
      );
      kib.push(sent / 1_024);
      plainKib.push(whole / 1_024);
      await context.close();
    }
    await server.stop();
    const row = (measure: string, unit: Unit, samples: number[]) =>
      rowsOf({ measure, unit, scenario: { hosts } }, [
        { contestant: 'ours', role: 'own', rounds: [samples] },
      ]);
    return [
      ...row('time to the first host on the status page', 'ms', times),
      ...row('size of the status page, as sent', 'KiB', kib),
      ...row('size of the status page, without compression', 'KiB', plainKib),
    ];
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}
