import { createPrivateKey, X509Certificate } from 'node:crypto';
import * as v from 'valibot';
import { isSendableToken, TOKEN_EXPECTED } from '../access/bearer.ts';
import { RmError } from '../errors.ts';
import { DATABASE_URL_EXPECTED, parseDatabaseUrl } from '../platform/database-url.ts';
import { ErrorList } from './error-list.ts';
import { readTextFile, readYaml } from './files.ts';
import {
  DEFAULTS,
  SETTINGS,
  type SettingKey,
  type SettingRow,
  type Settings,
  type SettingValues,
} from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * All errors of the settings. Each starts with its source: `RM_LISTEN: must be …` or `rm.yaml:
 * listen: must be …`.
 */
export class SettingsError extends RmError {
  readonly errors: readonly string[];

  constructor(errors: readonly string[]) {
    super('invalid_settings', errors.join('\n'));
    this.errors = errors;
  }
}

export interface LoadedSettings {
  readonly settings: Settings;
  /** Environment variables that start with `RM_` but are no settings. They are most likely typos. */
  readonly unknownVariables: readonly string[];
}

/**
 * Loads the settings from the defaults, the YAML file (`configFile`, else `RM_CONFIG`) and the
 * environment. Later sources override earlier ones.
 * @throws SettingsError listing all errors
 */
export function loadSettings(env: Environment, configFile?: string): LoadedSettings {
  const errors = new ErrorList(env.RM_METRICS_TOKEN);
  errors.hideSecret(env.RM_DATABASE_URL);
  const sources: Sources = new Map();
  const file = configFile || env.RM_CONFIG || undefined;
  const values: SettingValues = {
    ...DEFAULTS,
    ...(file === undefined ? {} : fromFile(file, sources, errors)),
    ...fromEnvironment(env, sources, errors),
  };
  const settings = completeSettings(values, sources, errors);
  if (errors.list.length > 0) throw new SettingsError(errors.list);
  return { settings, unknownVariables: unknownVariables(env) };
}

/** The source of each setting that is set, as named in error messages. */
type Sources = Map<SettingKey, string>;

function fromEnvironment(env: Environment, sources: Sources, errors: ErrorList): SettingValues {
  const values: SettingValues = {};
  for (const [key, row] of rows()) {
    const text = env[row.variable];
    if (text === undefined || text === '') continue;
    sources.set(key, row.variable);
    checkAndSet(values, key, row, rawValue(text, row), row.variable, errors);
  }
  return values;
}

function rawValue(text: string, row: SettingRow): unknown {
  if (row.from === 'list') return text.split(',').map((item) => item.trim());
  // Text that is not a number is returned as it is, so that the error can show it.
  if (row.from === 'number') return /^\d+$/.test(text) ? Number(text) : text;
  return text;
}

function fromFile(file: string, sources: Sources, errors: ErrorList): SettingValues {
  const values: SettingValues = {};
  const known = new Map<string, [SettingKey, SettingRow]>(rows().map((row) => [row[0], row]));
  const yaml = readYaml(file, errors);
  errors.hideSecret(yaml.metrics_token);
  errors.hideSecret(yaml.database_url);
  for (const [name, value] of Object.entries(yaml)) {
    const [key, row] = known.get(name) ?? [];
    if (key === undefined || row === undefined) {
      // In a typo such as {metrics_token:SECRET} the whole text is the key, so a key may contain
      // the token.
      const shownName = /^[_a-z][_a-z-]{0,29}$/i.test(name) ? name : 'not a name';
      errors.push(
        `${file}: ${shownName}: unknown key; known keys are ${[...known.keys()].join(', ')}`,
      );
    } else if (value !== null && value !== '') {
      const source = `${file}: ${key}`;
      sources.set(key, source);
      checkAndSet(values, key, row, value, source, errors);
    }
  }
  return values;
}

function checkAndSet(
  values: SettingValues,
  key: SettingKey,
  row: SettingRow,
  value: unknown,
  source: string,
  errors: ErrorList,
): void {
  const result = v.safeParse(row.schema, value);
  if (result.success) {
    Object.assign(values, { [key]: result.output });
    return;
  }
  const messages = result.issues.map(({ message, input }) =>
    row.secret ? message : `${message}, not ${errors.describe(input)}`,
  );
  for (const message of new Set(messages)) errors.push(`${source}: ${message}`);
}

function completeSettings(values: SettingValues, sources: Sources, errors: ErrorList): Settings {
  return {
    listen: values.listen ?? DEFAULTS.listen,
    metricsListen: metricsListen(values, sources, errors),
    access: {
      token: metricsToken(values, sources, errors),
      trustedCidrs: values.metrics_trusted_cidrs ?? [],
      trustedProxies: values.trusted_proxies ?? [],
    },
    metricsExclude: values.metrics_exclude ?? [],
    metricsShard: values.metrics_shard ?? DEFAULTS.metrics_shard,
    dataDir: values.data_dir ?? DEFAULTS.data_dir,
    databaseUrl: databaseUrl(values, sources, errors),
    agentThreads: values.agent_threads ?? DEFAULTS.agent_threads,
    tls: tlsFiles(values, sources, errors),
    logLevel: values.log_level ?? DEFAULTS.log_level,
  };
}

function metricsListen(
  values: SettingValues,
  sources: Sources,
  errors: ErrorList,
): Settings['metricsListen'] {
  const { listen = DEFAULTS.listen, metrics_listen: own } = values;
  // Port 0 is a free port each time.
  if (own !== undefined && own.port !== 0 && own.port === listen.port && own.host === listen.host) {
    errors.push(
      `${sources.get('metrics_listen')}: is the address of listen; give another port, or leave it out to serve /metrics there`,
    );
  }
  return own;
}

function metricsToken(
  values: SettingValues,
  sources: Sources,
  errors: ErrorList,
): string | undefined {
  return secretOf('metrics_token', values, sources, errors, {
    isValid: isSendableToken,
    expected: TOKEN_EXPECTED,
  });
}

function databaseUrl(
  values: SettingValues,
  sources: Sources,
  errors: ErrorList,
): string | undefined {
  return secretOf('database_url', values, sources, errors, {
    isValid: (url) => parseDatabaseUrl(url) !== undefined,
    expected: DATABASE_URL_EXPECTED,
  });
}

/** Returns the secret in the setting `key`, or in the file that the setting `key`_file names. */
function secretOf(
  key: 'metrics_token' | 'database_url',
  values: SettingValues,
  sources: Sources,
  errors: ErrorList,
  { isValid, expected }: { isValid: (text: string) => boolean; expected: string },
): string | undefined {
  const file = values[`${key}_file`];
  if (file === undefined) return values[key];
  const source = sources.get(`${key}_file`) ?? '';
  const other = sources.get(key); // set even if that secret was invalid
  if (other !== undefined) {
    errors.push(`${source}: set together with ${other}; set only one of them`);
    return undefined;
  }
  const read = readTextFile(errors, source, file, 'hide')?.replace(/\r?\n$/, '');
  if (read === undefined) return undefined;
  if (isValid(read)) return read;
  errors.push(`${source}: ${file}: must contain ${expected}`);
  return undefined;
}

function tlsFiles(values: SettingValues, sources: Sources, errors: ErrorList): Settings['tls'] {
  const { tls_cert_file: certFile, tls_key_file: keyFile } = values;
  if (certFile === undefined && keyFile === undefined) return undefined;
  const certSource = sources.get('tls_cert_file') ?? '';
  const keySource = sources.get('tls_key_file') ?? '';
  if (certFile === undefined || keyFile === undefined) {
    const [source, missing] = certFile
      ? ([certSource, 'tls_key_file'] as const)
      : ([keySource, 'tls_cert_file'] as const);
    errors.push(`${source}: set without ${SETTINGS[missing].variable} or ${missing}; set both`);
    return undefined;
  }
  const certificate = readPem(
    certSource,
    certFile,
    'certificate',
    errors,
    (pem) => new X509Certificate(pem),
  );
  const key = readPem(keySource, keyFile, 'private key', errors, (pem) => createPrivateKey(pem));
  if (certificate && key && !certificate.checkPrivateKey(key)) {
    errors.push(`${keySource}: ${keyFile}: is not the key of the certificate ${certFile}`);
  }
  return { certFile, keyFile };
}

function readPem<T>(
  source: string,
  file: string,
  what: string,
  errors: ErrorList,
  parse: (pem: string) => T,
): T | undefined {
  const pem = readTextFile(errors, source, file);
  if (pem === undefined) return undefined;
  try {
    return parse(pem);
  } catch {
    errors.push(`${source}: ${file}: must contain a ${what} in PEM format`);
    return undefined;
  }
}

function rows(): [SettingKey, SettingRow][] {
  return Object.entries(SETTINGS) as [SettingKey, SettingRow][];
}

function unknownVariables(env: Environment): string[] {
  const known = new Set(['RM_CONFIG', ...rows().map(([, { variable }]) => variable)]);
  return Object.keys(env).filter((variable) => variable.startsWith('RM_') && !known.has(variable));
}
