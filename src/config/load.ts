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
  const file = configFile ?? (env.RM_CONFIG || undefined);
  const values: SettingValues = {
    ...DEFAULTS,
    ...(file === undefined ? {} : fromFile(file, faults)),
    ...fromEnvironment(env, faults),
  };
  const settings = complete(values, faults);
  if (faults.length > 0) throw new SettingsError(faults);
  return { settings, unknownVariables: unknownVariables(env) };
}

function fromEnvironment(env: Environment, faults: string[]): SettingValues {
  const values: SettingValues = {};
  for (const [key, row] of rows()) {
    const text = env[row.variable];
    if (text === undefined || text === '') continue;
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

function fromFile(file: string, faults: string[]): SettingValues {
  const values: SettingValues = {};
  const known = new Map(rows());
  for (const [key, value] of Object.entries(readYaml(file, faults))) {
    const row = known.get(key as SettingKey);
    if (row === undefined) {
      faults.push(`${file}: ${key}: unknown key; known are ${[...known.keys()].join(', ')}`);
    } else if (value !== null && value !== '') {
      accept(values, key as SettingKey, row, value, `${file}: ${key}`, faults);
    }
  }
  return values;
}

function readYaml(file: string, faults: string[]): Readonly<Record<string, unknown>> {
  try {
    const lines = new LineCounter();
    // Without `prettyErrors`, which would quote the line at fault, and that may be the one with the token.
    const document = parseDocument(readFileSync(file, 'utf8'), {
      lineCounter: lines,
      prettyErrors: false,
    });
    for (const error of document.errors) {
      const { line, col } = lines.linePos(error.pos[0]);
      faults.push(`${file}: line ${line}, column ${col}: not valid YAML (${error.code})`);
    }
    if (document.errors.length > 0 || document.contents === null) return {};
    if (!isMap(document.contents)) {
      faults.push(`${file}: must be a map of settings`);
      return {};
    }
    return document.toJS();
  } catch (error) {
    faults.push(`${file}: cannot be read: ${messageOf(error)}`);
    return {};
  }
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
  const shown = row.secret ? '' : `, not ${JSON.stringify(value)}`;
  for (const message of new Set(result.issues.map((issue) => issue.message))) {
    faults.push(`${source}: ${message}${shown}`);
  }
}

function complete(values: SettingValues, faults: string[]): Settings {
  return {
    listen: values.listen ?? DEFAULTS.listen,
    metricsListen: values.metrics_listen,
    access: {
      token: metricsToken(values, faults),
      trustedCidrs: values.metrics_trusted_cidrs ?? [],
      trustedProxies: values.trusted_proxies ?? [],
    },
    dataDir: values.data_dir ?? DEFAULTS.data_dir,
    agentThreads: values.agent_threads ?? DEFAULTS.agent_threads,
    tls: tlsFiles(values, faults),
    logLevel: values.log_level ?? DEFAULTS.log_level,
  };
}

function metricsToken(values: SettingValues, faults: string[]): string | undefined {
  const { metrics_token: token, metrics_token_file: file } = values;
  if (file === undefined) return token;
  const source = name('metrics_token_file');
  if (token !== undefined) {
    faults.push(`${source}: set together with ${name('metrics_token')}; set one of them`);
    return undefined;
  }
  const read = readOr(faults, source, file)?.replace(/\r?\n$/, '');
  if (read === undefined) return undefined;
  if (isSendableToken(read)) return read;
  faults.push(`${source}: ${file}: must hold ${TOKEN_EXPECTED}`);
  return undefined;
}

function tlsFiles(values: SettingValues, faults: string[]): Settings['tls'] {
  const { tls_cert_file: certFile, tls_key_file: keyFile } = values;
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined) {
    const [set, missing] = certFile
      ? (['tls_cert_file', 'tls_key_file'] as const)
      : (['tls_key_file', 'tls_cert_file'] as const);
    faults.push(`${name(missing)}: must be set, since ${name(set)} is`);
    return undefined;
  }
  const certificate = readPem(
    'tls_cert_file',
    certFile,
    'certificate',
    faults,
    (pem) => new X509Certificate(pem),
  );
  const key = readPem('tls_key_file', keyFile, 'private key', faults, (pem) =>
    createPrivateKey(pem),
  );
  if (certificate && key && !certificate.checkPrivateKey(key)) {
    faults.push(
      `${name('tls_key_file')}: ${keyFile}: is not the key of the certificate ${certFile}`,
    );
  }
  return { certFile, keyFile };
}

function readPem<T>(
  key: SettingKey,
  file: string,
  what: string,
  faults: string[],
  parse: (pem: string) => T,
): T | undefined {
  const pem = readOr(faults, name(key), file);
  if (pem === undefined) return undefined;
  try {
    return parse(pem);
  } catch {
    faults.push(`${name(key)}: ${file}: must hold a ${what} in PEM`);
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

/** Where a value may have come from, for faults that are about more than one. */
function name(key: SettingKey): string {
  return `${SETTINGS[key].variable} or ${key}`;
}

function rows(): [SettingKey, SettingRow][] {
  return Object.entries(SETTINGS) as [SettingKey, SettingRow][];
}

function unknownVariables(env: Environment): string[] {
  const known = new Set(['RM_CONFIG', ...rows().map(([, { variable }]) => variable)]);
  return Object.keys(env).filter((variable) => variable.startsWith('RM_') && !known.has(variable));
}
