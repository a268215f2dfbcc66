import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { promClientPeer } from '../peers/prom-client.ts';
import { benchHosts } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { listenHttp } from './listen-http.ts';
import type { Served, Start } from './protocol.ts';

const compress = promisify(gzip);

/** As in the README of prom-client. It leaves compression to its user; this uses the fastest level. */
export async function serve({ hosts }: Start): Promise<Served> {
  const { registry } = promClientPeer({ hosts: benchHosts(hosts), jobs: jobTable() });
  const server = createServer(async (req, res) => {
    const body = await registry.metrics();
    res.setHeader('Content-Type', registry.contentType);
    if (req.headers['accept-encoding'] === 'gzip') {
      res.setHeader('Content-Encoding', 'gzip');
      res.end(await compress(body, { level: constants.Z_BEST_SPEED }));
    } else {
      res.end(body);
    }
  });
  return { port: await listenHttp(server) };
}
