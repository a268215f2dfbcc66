import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { uws } from '../../src/platform/uws.ts';
import { promClientPeer } from '../peers/prom-client.ts';
import { benchHosts } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { mountEcho } from './echo.ts';
import { listen } from './listen.ts';
import { LoopWatch } from './loop-watch.ts';
import type { Served, Start } from './protocol.ts';

const compress = promisify(gzip);

/**
 * The obvious implementation: the agents' loop renders with prom-client and sends the whole body at
 * once.
 */
export async function serve({ hosts }: Start): Promise<Served> {
  const { registry } = promClientPeer({ hosts: benchHosts(hosts), jobs: jobTable() });
  const watch = new LoopWatch();
  const app = uws().App();
  mountEcho(app);
  app.get('/metrics', async (res, req) => {
    let gone = false;
    res.onAborted(() => {
      gone = true;
    });
    const compressed = req.getHeader('accept-encoding') === 'gzip';
    const text = await registry.metrics();
    const body = compressed ? await compress(text, { level: constants.Z_BEST_SPEED }) : text;
    if (gone) return;
    res.cork(() => {
      if (compressed) res.writeHeader('Content-Encoding', 'gzip');
      res.end(body);
    });
  });
  return { port: await listen(app), watch: () => watch.start(), turns: () => watch.stop() };
}
