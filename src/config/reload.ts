import type { Settings } from './settings.ts';

/** The settings that a running control plane can change. */
export interface Reload {
  readonly token: string | undefined;
  readonly tls: Settings['tls'];
}

/**
 * Returns the part of new settings that applies without a restart. Undefined in the result means
 * unchanged: adding or removing the token or TLS needs a restart.
 */
export function applicable({ token, tls }: Reload, atStart: Settings): Reload {
  return {
    token: atStart.access.token === undefined ? undefined : token,
    tls: atStart.tls === undefined ? undefined : tls,
  };
}

/**
 * Returns the YAML names of the settings that have changed since the start and need a restart to apply.
 */
export function needingRestart(atStart: Settings, now: Settings): string[] {
  const differs = (pick: (settings: Settings) => unknown) =>
    JSON.stringify(pick(atStart)) !== JSON.stringify(pick(now));
  return COMPARED.filter(([, pick]) => differs(pick)).map(([name]) => name);
}

const COMPARED: readonly (readonly [name: string, pick: (settings: Settings) => unknown])[] = [
  ['listen', ({ listen }) => listen],
  ['metrics_listen', ({ metricsListen }) => metricsListen],
  ['metrics_token', ({ access }) => access.token === undefined],
  ['metrics_trusted_cidrs', ({ access }) => access.trustedCidrs],
  ['metrics_exclude', ({ metricsExclude }) => metricsExclude],
  ['metrics_shard', ({ metricsShard }) => metricsShard],
  ['trusted_proxies', ({ access }) => access.trustedProxies],
  ['data_dir', ({ dataDir }) => dataDir],
  ['database_url', ({ databaseUrl }) => databaseUrl],
  ['agent_threads', ({ agentThreads }) => agentThreads],
  ['tls_cert_file', ({ tls }) => tls === undefined],
  ['log_level', ({ logLevel }) => logLevel],
];
