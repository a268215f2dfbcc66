import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { isMap, LineCounter, parseDocument } from 'yaml';
import { isSendableToken, TOKEN_EXPECTED } from '../access/bearer.ts';
import { messageOf, RmError } from '../errors.ts';
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
  const faults: string[] = [];
  const sources: Sources = new Map();
  const file = configFile || env.RM_CONFIG || undefined;
  const values: SettingValues = {
    ...DEFAULTS,
    ...(file === undefined ? {} : fromFile(file, sources, faults)),
    ...fromEnvironment(env, sources, faults),
  };
  const settings = complete(values, sources, faults);
  if (faults.length > 0) throw new SettingsError(faults);
  return { settings, unknownVariables: unknownVariables(env) };
}

/** Where each setting that is set comes from, as a fault names it. */
type Sources = Map<SettingKey, string>;

function fromEnvironment(env: Environment, sources: Sources, faults: string[]): SettingValues {
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

function fromFile(file: string, sources: Sources, faults: string[]): SettingValues {
  const values: SettingValues = {};
  const known = new Map<string, [SettingKey, SettingRow]>(rows().map((row) => [row[0], row]));
  for (const [name, value] of Object.entries(readYaml(file, faults))) {
    const [key, row] = known.get(name) ?? [];
    if (key === undefined || row === undefined) {
      // A slip such as {metrics_token:SECRET} makes a key of key and value.
      const shown = /^[\w-]+$/.test(name) ? name : 'not a name';
      faults.push(`${file}: ${shown}: unknown key; known are ${[...known.keys()].join(', ')}`);
    } else if (value !== null && value !== '') {
      const source = `${file}: ${key}`;
      sources.set(key, source);
      accept(values, key, row, value, source, faults);
    }
  }
  return values;
}

function readYaml(file: string, faults: string[]): Readonly<Record<string, unknown>> {
  const text = readOr(faults, file, file);
  if (text === undefined) return {};
  const lines = new LineCounter();
  // None of the messages is shown, and none logged: they quote the line at fault, and that may be the
  // one with the token.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    logLevel: 'error',
  });
  for (const error of document.errors) {
    const { line, col } = lines.linePos(error.pos[0]);
    faults.push(`${file}: line ${line}, column ${col}: not valid YAML (${error.code})`);
  }
  if (document.errors.length > 0) return {};
  try {
    const value: unknown = document.toJS();
    if (value === null) return {};
    if (isMap(document.contents)) return value as Readonly<Record<string, unknown>>;
    faults.push(`${file}: must be a map of settings`);
  } catch {
    faults.push(`${file}: not valid YAML (an alias, *NAME, without its &NAME)`);
  }
  return {};
}

function accept(
  values: SettingValues,
  key: SettingKey,
  row: SettingRow,
  value: unknown,
  source: string,
  faults: string[],
): void {
  const result = v.safeParse(row.schema, value);
  if (result.success) {
    Object.assign(values, { [key]: result.output });
    return;
  }
  const told = result.issues.map(({ message, input }) =>
    row.secret ? message : `${message}, not ${shown(input)}`,
  );
  for (const message of new Set(told)) faults.push(`${source}: ${message}`);
}

/** What is in a list or a map is not shown: a slip of the indentation may have put the token there. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'a map';
  return String(value);
}

function complete(values: SettingValues, sources: Sources, faults: string[]): Settings {
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

function metricsToken(
  values: SettingValues,
  sources: Sources,
  faults: string[],
): string | undefined {
  const { metrics_token: token, metrics_token_file: file } = values;
  if (file === undefined) return token;
  const source = sources.get('metrics_token_file') ?? '';
  const other = sources.get('metrics_token'); // also of a token that was refused
  if (other !== undefined) {
    faults.push(`${source}: set together with ${other}; set one of them`);
    return undefined;
  }
  const read = readOr(faults, source, file)?.replace(/\r?\n$/, '');
  if (read === undefined) return undefined;
  if (isSendableToken(read)) return read;
  faults.push(`${source}: ${file}: must hold ${TOKEN_EXPECTED}`);
  return undefined;
}

function tlsFiles(values: SettingValues, sources: Sources, faults: string[]): Settings['tls'] {
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
  faults: string[],
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

function readOr(faults: string[], source: string, file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    faults.push(`${source}: cannot be read: ${messageOf(error)}`);
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
