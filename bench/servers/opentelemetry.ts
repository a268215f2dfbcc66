import { createServer } from 'node:http';
import { openTelemetryPeer } from '../peers/opentelemetry.ts';
import { benchHosts } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { listenHttp } from './listen-http.ts';
import type { Served, Start } from './protocol.ts';

/** The exporter's own handler. It does not support gzip. */
export async function serve({ hosts }: Start): Promise<Served> {
  const { exporter } = openTelemetryPeer({ hosts: benchHosts(hosts), jobs: jobTable() });
  const server = createServer((req, res) => exporter.getMetricsRequestHandler(req, res));
  return { port: await listenHttp(server) };
}
