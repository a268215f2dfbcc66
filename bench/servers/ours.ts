import { createMetrics, type Fleet, type Host } from '../../src/index.ts';
import { uws } from '../../src/platform/uws.ts';
import { BUILD } from '../peers/peer.ts';
import { afterBackup, benchFleet, benchHosts } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { seededRandom } from '../support/random.ts';
import { mountEcho } from './echo.ts';
import { listen } from './listen.ts';
import { LoopWatch } from './loop-watch.ts';
import type { Served, Start } from './protocol.ts';

/** What an embedder uses: the public API on an existing app. */
export function serve(start: Start): Promise<Served> {
  return serveWithout([], start);
}

/** @param exclude families to leave out */
export async function serveWithout(
  exclude: readonly string[],
  { hosts, watched }: Start,
): Promise<Served> {
  const metrics = createMetrics({
    gates: { trustedCidrs: ['127.0.0.1'] },
    exclude,
    buildInfo: BUILD,
    onScrapeFailure: (error) => console.error(error),
  });
  for (const host of benchHosts(hosts)) metrics.fleet.upsert(host);
  for (const { kind, status, ms } of jobTable()) metrics.registry.observeJob(kind, status, ms);
  const app = uws().App();
  mountEcho(app);
  const watch = new LoopWatch();
  // Timing the callbacks has a small cost, so it is done only on request.
  metrics.mount(watched ? watch.timed(app) : app);
  return {
    port: await listen(app),
    change: changer(metrics.fleet, hosts),
    watch: () => watch.start(),
    turns: () => watch.stop(),
  };
}

/** Makes a percentage of the hosts report another backup. */
function changer(fleet: Fleet, size: number): (percent: number) => void {
  const random = seededRandom(2);
  // Created on first use, so that it takes no memory in measurements without changes.
  let hosts: Host[] | undefined;
  return (percent) => {
    hosts ??= benchFleet(size);
    for (let n = 0; n < Math.round((size * percent) / 100); n++) {
      const index = Math.floor(random() * size);
      const host = afterBackup(hosts[index] as Host, random);
      hosts[index] = host;
      fleet.upsert(host);
    }
  };
}
