import { constants, setPriority } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { parentPort } from 'node:worker_threads';
import { type Encoding, Scraper } from '../support/scraper.ts';

/*
 * Scrapes again and again, with a short pause in between. This runs in its own thread, so that
 * processing the bodies does not delay the pings.
 */
const REST_MS = 250;

// In production Prometheus runs on another machine, so here it must not take a core from the
// measured threads.
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
