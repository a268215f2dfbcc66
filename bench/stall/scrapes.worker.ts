import { constants, setPriority } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { type Encoding, Scraper } from '../support/scraper.ts';

/*
 * Scrapes one after the other, with a short rest in between, in a thread of its own: what it does with
 * the bodies must not keep the pings waiting.
 */
const REST_MS = 250;

// A Prometheus is on a machine of its own: here it must not take the core from those who are measured.
setPriority(constants.priority.PRIORITY_LOW);

export interface Scrapes {
  readonly port: number;
  readonly encoding: Encoding;
  readonly ms: number;
}

parentPort?.on('message', async ({ port, encoding, ms }: Scrapes) => {
  const scraper = await Scraper.open(port, encoding);
  const until = performance.now() + ms;
  let scrapes = 0;
  do {
    await scraper.scrape();
    scrapes++;
    await setTimeout(REST_MS);
  } while (performance.now() < until);
  scraper.close();
  parentPort?.postMessage(scrapes);
});
