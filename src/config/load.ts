import { createPrivateKey, X509Certificate } from 'node:crypto';
import * as v from 'valibot';
import { isSendableToken, TOKEN_EXPECTED } from '../access/bearer.ts';
import { RmError } from '../errors.ts';
import { Faults } from './faults.ts';
import { readOr, readYaml } from './files.ts';
import {
  DEFAULTS,
  SETTINGS,
  type SettingKey,
  type SettingRow,
  type Settings,
  type SettingValues,
} from './settings.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What was wrong, each with its source first: `RM_LISTEN: must be …` or `rm.yaml: listen: must be …`. */
export class SettingsError extends RmError {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super('invalid_settings', faults.join('\n'));
    this.faults = faults;
  }
}

export interface LoadedSettings {
  readonly settings: Settings;
  /** Variables that look like ours and are not: most likely a slip of the pen. */
  readonly unknownVariables: readonly string[];
}

/**
 * Defaults, then the YAML file (`configFile`, else `RM_CONFIG`), then the environment; the later wins.
 * @throws SettingsError naming every fault at once
 */
export function loadSettings(env: Environment, configFile?: string): LoadedSettings {
  const faults = new Faults(env.RM_METRICS_TOKEN);
  const sources: Sources = new Map();
  const file = configFile || env.RM_CONFIG || undefined;
  const values: SettingValues = {
    ...DEFAULTS,
    ...(file === undefined ? {} : fromFile(file, sources, faults)),
    ...fromEnvironment(env, sources, faults),
  };
  const settings = complete(values, sources, faults);
  if (faults.list.length > 0) throw new SettingsError(faults.list);
  return { settings, unknownVariables: unknownVariables(env) };
}

/** Where each setting that is set comes from, as a fault names it. */
type Sources = Map<SettingKey, string>;

function fromEnvironment(env: Environment, sources: Sources, faults: Faults): SettingValues {
  const values: SettingValues = {};
  for (const [key, row] of rows()) {
    const text = env[row.variable];
    if (text === undefined || text === '') continue;
    sources.set(key, row.variable);
    accept(values, key, row, fromText(text, row), row.variable, faults);
  }
  return values;
}

function fromText(text: string, row: SettingRow): unknown {
  if (row.from === 'list') return text.split(',').map((item) => item.trim());
  // Text that is no number stays text, so that the message can show it.
  if (row.from === 'number') return /^\d+$/.test(text) ? Number(text) : text;
  return text;
}

function fromFile(file: string, sources: Sources, faults: Faults): SettingValues {
  const values: SettingValues = {};
  const known = new Map<string, [SettingKey, SettingRow]>(rows().map((row) => [row[0], row]));
  const yaml = readYaml(file, faults);
  faults.keepSecret(yaml.metrics_token);
  for (const [name, value] of Object.entries(yaml)) {
    const [key, row] = known.get(name) ?? [];
    if (key === undefined || row === undefined) {
      // A slip such as {metrics_token:SECRET} makes a key of key and value.
      const shown = /^[_a-z][_a-z-]{0,29}$/i.test(name) ? name : 'not a name';
      faults.push(`${file}: ${shown}: unknown key; known are ${[...known.keys()].join(', ')}`);
    } else if (value !== null && value !== '') {
      const source = `${file}: ${key}`;
      sources.set(key, source);
      accept(values, key, row, value, source, faults);
    }
  }
  return values;
}

function accept(
  values: SettingValues,
  key: SettingKey,
  row: SettingRow,
  value: unknown,
  source: string,
  faults: Faults,
): void {
  const result = v.safeParse(row.schema, value);
  if (result.success) {
    Object.assign(values, { [key]: result.output });
    return;
  }
  const told = result.issues.map(({ message, input }) =>
    row.secret ? message : `${message}, not ${faults.shown(input)}`,
  );
  for (const message of new Set(told)) faults.push(`${source}: ${message}`);
}

function complete(values: SettingValues, sources: Sources, faults: Faults): Settings {
  return {
    listen: values.listen ?? DEFAULTS.listen,
    metricsListen: values.metrics_listen,
    access: {
      token: metricsToken(values, sources, faults),
      trustedCidrs: values.metrics_trusted_cidrs ?? [],
      trustedProxies: values.trusted_proxies ?? [],
    },
    dataDir: values.data_dir ?? DEFAULTS.data_dir,
    agentThreads: values.agent_threads ?? DEFAULTS.agent_threads,
    tls: tlsFiles(values, sources, faults),
    logLevel: values.log_level ?? DEFAULTS.log_level,
  };
}

function metricsToken(values: SettingValues, sources: Sources, faults: Faults): string | undefined {
  const { metrics_token: token, metrics_token_file: file } = values;
  if (file === undefined) return token;
  const source = sources.get('metrics_token_file') ?? '';
  const other = sources.get('metrics_token'); // also of a token that was refused
  if (other !== undefined) {
    faults.push(`${source}: set together with ${other}; set one of them`);
    return undefined;
  }
  const read = readOr(faults, source, file, 'hide')?.replace(/\r?\n$/, '');
  if (read === undefined) return undefined;
  if (isSendableToken(read)) return read;
  faults.push(`${source}: ${file}: must hold ${TOKEN_EXPECTED}`);
  return undefined;
}

function tlsFiles(values: SettingValues, sources: Sources, faults: Faults): Settings['tls'] {
  const { tls_cert_file: certFile, tls_key_file: keyFile } = values;
  if (certFile === undefined && keyFile === undefined) return undefined;
  const certSource = sources.get('tls_cert_file') ?? '';
  const keySource = sources.get('tls_key_file') ?? '';
  if (certFile === undefined || keyFile === undefined) {
    const [source, missing] = certFile
      ? ([certSource, 'tls_key_file'] as const)
      : ([keySource, 'tls_cert_file'] as const);
    faults.push(`${source}: set without ${SETTINGS[missing].variable} or ${missing}; set both`);
    return undefined;
  }
  const certificate = readPem(
    certSource,
    certFile,
    'certificate',
    faults,
    (pem) => new X509Certificate(pem),
  );
  const key = readPem(keySource, keyFile, 'private key', faults, (pem) => createPrivateKey(pem));
  if (certificate && key && !certificate.checkPrivateKey(key)) {
    faults.push(`${keySource}: ${keyFile}: is not the key of the certificate ${certFile}`);
  }
  return { certFile, keyFile };
}

function readPem<T>(
  source: string,
  file: string,
  what: string,
  faults: Faults,
  parse: (pem: string) => T,
): T | undefined {
  const pem = readOr(faults, source, file);
  if (pem === undefined) return undefined;
  try {
    return parse(pem);
  } catch {
    faults.push(`${source}: ${file}: must hold a ${what} in PEM`);
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
