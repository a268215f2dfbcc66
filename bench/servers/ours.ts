import { createMetrics, type Host } from '../../src/index.ts';
import { uws } from '../../src/platform/uws.ts';
import { BUILD } from '../peers/peer.ts';
import { afterBackup, benchFleet, CHANGED_A_SCRAPE } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { seededRandom } from '../support/random.ts';
import { mountEcho } from './echo.ts';
import { listen } from './listen.ts';
import { LoopWatch } from './loop-watch.ts';
import type { Served, Start } from './protocol.ts';

/** What an embedder has: the public API on an app of their own. */
export async function serve({ hosts, watched }: Start): Promise<Served> {
  const metrics = createMetrics({
    gates: { trustedCidrs: ['127.0.0.1'] },
    buildInfo: BUILD,
    onScrapeFailure: (error) => console.error(error),
  });
  const fleet = benchFleet(hosts);
  for (const host of fleet) metrics.fleet.upsert(host);
  for (const { kind, status, ms } of jobTable()) metrics.registry.observeJob(kind, status, ms);
  const app = uws().App();
  mountEcho(app);
  const watch = new LoopWatch();
  // Timing each callback costs a little, so only where somebody wants to know.
  metrics.mount(watched ? watch.timed(app) : app);
  const random = seededRandom(2);
  return {
    port: await listen(app),
    change() {
      const changed = Math.round(hosts * CHANGED_A_SCRAPE);
      for (let n = 0; n < changed; n++) {
        const index = Math.floor(random() * hosts);
        const host = afterBackup(fleet[index] as Host, random);
        fleet[index] = host;
        metrics.fleet.upsert(host);
      }
    },
    watch: () => watch.start(),
    turns: () => watch.stop(),
  };
}
