import type { Settings } from './settings.ts';

/** What a running control plane takes over from new settings. */
export interface Reload {
  readonly token: string | undefined;
  readonly tls: Settings['tls'];
}

/** A gate or TLS that was not there at the start, or that is gone, needs a restart: then all stays as it is. */
export function applicable({ token, tls }: Reload, atStart: Settings): Reload {
  return {
    token: atStart.access.token === undefined ? undefined : token,
    tls: atStart.tls === undefined ? undefined : tls,
  };
}

/** Settings that differ from those at the start in a way that only a restart takes over, by their names in YAML. */
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
  ['trusted_proxies', ({ access }) => access.trustedProxies],
  ['data_dir', ({ dataDir }) => dataDir],
  ['agent_threads', ({ agentThreads }) => agentThreads],
  ['tls_cert_file', ({ tls }) => tls === undefined],
  ['log_level', ({ logLevel }) => logLevel],
];
