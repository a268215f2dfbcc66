import { startControlPlane } from '../../src/control-plane/control-plane.ts';
import { createLog } from '../../src/platform/log.ts';
import { benchFleet } from '../support/fleet.ts';
import type { Served, Start } from './protocol.ts';

const AT_A_TIME = 500;

/** The complete `restic-manager serve` with its own database and enrolled hosts. */
export async function serve({ hosts, dataDir, databaseUrl, isFilled }: Start): Promise<Served> {
  if (dataDir === undefined) throw new Error('a control plane needs a data directory');
  const log = createLog('warn');
  const { url, store } = await startControlPlane({
    settings: {
      listen: { host: '127.0.0.1', port: 0 },
      metricsListen: undefined,
      access: { token: undefined, trustedCidrs: ['127.0.0.1'], trustedProxies: [] },
      metricsExclude: [],
      metricsShard: { index: 0, count: 1 },
      databaseUrl,
      dataDir,
      agentThreads: 1,
      tls: undefined,
      logLevel: 'warn',
    },
    log,
    onDeath: (error) => {
      log.fatal(error);
      process.exit(1);
    },
  });
  const port = Number(new URL(url).port);
  if (isFilled) return { port };
  const tokens: string[] = [];
  const names = benchFleet(hosts).map(({ host }) => host);
  while (tokens.length < hosts) {
    const next = names.slice(tokens.length, tokens.length + AT_A_TIME);
    const added = await store.submit('addHosts', { hosts: next });
    tokens.push(...added.map(({ token }) => token));
  }
  return { port, tokens };
}
