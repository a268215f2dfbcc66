import { isIPv6 } from 'node:net';
import * as v from 'valibot';
import { isSendableToken, TOKEN_EXPECTED } from '../access/bearer.ts';
import { NETWORK_EXPECTED, parseNetwork } from '../access/networks.ts';
import { parseShard, SHARD_EXPECTED, type Shard, WHOLE_FLEET } from '../contract/shard.ts';
import { DATABASE_URL_EXPECTED, parseDatabaseUrl } from '../platform/database-url.ts';
import { FAMILIES } from '../shared/families.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const MAX_AGENT_THREADS = 64;

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const text = (expected = 'text in quotes') => v.string(`must be ${expected}`);

export const LISTEN_EXPECTED = 'HOST:PORT such as 127.0.0.1:8080 or [::]:8080, port 0 to 65535';

/** Parses an address as described by {@link LISTEN_EXPECTED}. Returns undefined for any other text. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  const [, v6, name] = match ?? [];
  const host = v6 === undefined ? name : isIPv6(v6) ? v6 : undefined;
  const port = Number(match?.[3]);
  return host !== undefined && port <= 65_535 ? { host, port } : undefined;
}

const listenAddress = v.pipe(
  text('HOST:PORT'),
  v.rawTransform(({ dataset, addIssue, NEVER }): ListenAddress => {
    const address = parseListenAddress(dataset.value);
    if (address !== undefined) return address;
    addIssue({ message: `must be ${LISTEN_EXPECTED}` });
    return NEVER;
  }),
);

const network = v.pipe(
  text(NETWORK_EXPECTED),
  v.check((value) => parseNetwork(value) !== undefined, `must be ${NETWORK_EXPECTED}`),
);
const networks = v.array(network, `must be a list, each ${NETWORK_EXPECTED}`);

const shard = v.pipe(
  text(SHARD_EXPECTED),
  v.rawTransform(({ dataset, addIssue, NEVER }): Shard => {
    const parsed = parseShard(dataset.value);
    if (parsed !== undefined) return parsed;
    addIssue({ message: `must be ${SHARD_EXPECTED}` });
    return NEVER;
  }),
);

const FAMILY_NAMES: ReadonlySet<string> = new Set(FAMILIES.map(({ name }) => name));
const family = v.pipe(
  text('the name of a metric family'),
  v.check(
    (name) => FAMILY_NAMES.has(name),
    'must be the name of a metric family, without _bucket, _sum or _count; docs/prometheus.md lists them',
  ),
);

function isDatabaseUrl(value: string): boolean {
  return parseDatabaseUrl(value) !== undefined;
}

const threads = `must be a whole number from 1 to ${MAX_AGENT_THREADS}`;

/**
 * All settings. Each row has the key in the YAML file, the environment variable, how to convert the
 * text of the variable (`from`), and the schema of valid values. Values of `secret` settings never
 * appear in a message.
 */
export const SETTINGS = {
  listen: { variable: 'RM_LISTEN', schema: listenAddress },
  metrics_listen: { variable: 'RM_METRICS_LISTEN', schema: listenAddress },
  metrics_token: {
    variable: 'RM_METRICS_TOKEN',
    secret: true,
    schema: v.pipe(text(), v.check(isSendableToken, `must be ${TOKEN_EXPECTED}`)),
  },
  metrics_token_file: { variable: 'RM_METRICS_TOKEN_FILE', schema: text() },
  metrics_trusted_cidrs: { variable: 'RM_METRICS_TRUSTED_CIDR', from: 'list', schema: networks },
  metrics_exclude: {
    variable: 'RM_METRICS_EXCLUDE',
    from: 'list',
    schema: v.array(family, 'must be a list of metric families, such as rm_host_info'),
  },
  metrics_shard: { variable: 'RM_METRICS_SHARD', schema: shard },
  trusted_proxies: { variable: 'RM_TRUSTED_PROXY', from: 'list', schema: networks },
  data_dir: { variable: 'RM_DATA_DIR', schema: text() },
  database_url: {
    variable: 'RM_DATABASE_URL',
    secret: true,
    schema: v.pipe(text(), v.check(isDatabaseUrl, `must be ${DATABASE_URL_EXPECTED}`)),
  },
  database_url_file: { variable: 'RM_DATABASE_URL_FILE', schema: text() },
  agent_threads: {
    variable: 'RM_AGENT_THREADS',
    from: 'number',
    schema: v.pipe(
      v.number(threads),
      v.integer(threads),
      v.minValue(1, threads),
      v.maxValue(MAX_AGENT_THREADS, threads),
    ),
  },
  tls_cert_file: { variable: 'RM_TLS_CERT_FILE', schema: text() },
  tls_key_file: { variable: 'RM_TLS_KEY_FILE', schema: text() },
  log_level: {
    variable: 'RM_LOG_LEVEL',
    schema: v.picklist(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`),
  },
} as const satisfies Record<string, SettingRow>;

export interface SettingRow {
  readonly variable: string;
  readonly from?: 'list' | 'number';
  readonly secret?: boolean;
  readonly schema: v.GenericSchema<unknown, unknown>;
}

export type SettingKey = keyof typeof SETTINGS;
export type SettingValues = {
  -readonly [K in SettingKey]?: v.InferOutput<(typeof SETTINGS)[K]['schema']>;
};

/** The settings of a control plane, checked and complete. */
export interface Settings {
  readonly listen: ListenAddress;
  /** If undefined, `/metrics` is served on `listen`. */
  readonly metricsListen: ListenAddress | undefined;
  readonly access: {
    readonly token: string | undefined;
    readonly trustedCidrs: readonly string[];
    readonly trustedProxies: readonly string[];
  };
  /** Names of families that `/metrics` does not show. */
  readonly metricsExclude: readonly string[];
  /** The part of the hosts that `/metrics` shows. */
  readonly metricsShard: Shard;
  readonly dataDir: string;
  /** The PostgreSQL that holds the fleet instead of `dataDir`. Contains the password. */
  readonly databaseUrl: string | undefined;
  readonly agentThreads: number;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  readonly logLevel: LogLevel;
}

export const DEFAULTS = {
  listen: { host: '127.0.0.1', port: 8080 },
  metrics_shard: WHOLE_FLEET,
  data_dir: './data',
  agent_threads: 1,
  log_level: 'info',
} as const satisfies SettingValues;
