import { describe, expect, it } from 'vitest';
import { applicable, needingRestart } from '../../src/config/reload.ts';
import type { Settings } from '../../src/config/settings.ts';

const BASE: Settings = {
  listen: { host: '127.0.0.1', port: 8080 },
  metricsListen: undefined,
  metricsExclude: [],
  metricsShard: { index: 0, count: 1 },
  dataDir: '/var/lib/restic-manager',
  databaseUrl: undefined,
  agentThreads: 1,
  logLevel: 'info',
  tls: undefined,
  access: { token: 'one', trustedCidrs: [], trustedProxies: [] },
};
const TLS = { certFile: 'a.pem', keyFile: 'a.key' };
const NEWER_TLS = { certFile: 'b.pem', keyFile: 'b.key' };

describe('what only a restart takes over is named, so that nobody waits for it', () => {
  it.each<[name: string, changed: Partial<Settings>]>([
    ['listen', { listen: { host: '127.0.0.1', port: 8081 } }],
    ['metrics_listen', { metricsListen: { host: '127.0.0.1', port: 9090 } }],
    ['metrics_token', { access: { ...BASE.access, token: undefined } }],
    ['metrics_trusted_cidrs', { access: { ...BASE.access, trustedCidrs: ['10.0.0.0/8'] } }],
    ['trusted_proxies', { access: { ...BASE.access, trustedProxies: ['10.0.0.1'] } }],
    ['metrics_shard', { metricsShard: { index: 0, count: 2 } }],
    ['metrics_exclude', { metricsExclude: ['rm_host_info'] }],
    ['data_dir', { dataDir: '/elsewhere' }],
    ['database_url', { databaseUrl: 'postgres://db/fleet' }],
    ['agent_threads', { agentThreads: 2 }],
    ['tls_cert_file', { tls: TLS }],
    ['log_level', { logLevel: 'debug' }],
  ])('%s', (name, changed) => {
    expect(needingRestart(BASE, { ...BASE, ...changed })).toEqual([name]);
  });

  it('but not what is taken over at once', () => {
    const withTls = { ...BASE, tls: TLS };
    const renewed = { ...withTls, tls: NEWER_TLS };
    expect(needingRestart(withTls, renewed)).toEqual([]);
    const other = { ...BASE, access: { ...BASE.access, token: 'other' } };
    expect(needingRestart(BASE, other)).toEqual([]);
    expect(needingRestart(BASE, BASE)).toEqual([]);
  });
});

describe('a running control plane takes over', () => {
  it('a token and a certificate where there were some', () => {
    const reload = { token: 'two', tls: NEWER_TLS };
    expect(applicable(reload, { ...BASE, tls: TLS })).toEqual(reload);
  });

  it('none where there was none', () => {
    const open = { ...BASE, access: { ...BASE.access, token: undefined } };
    const reload = { token: 'two', tls: TLS };
    expect(applicable(reload, open)).toEqual({ token: undefined, tls: undefined });
  });
});
