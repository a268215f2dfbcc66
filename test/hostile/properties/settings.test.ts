import { writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Environment,
  type LoadedSettings,
  loadSettings,
  SettingsError,
} from '../../../src/config/load.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { dir } from '../../config/loading.ts';

/*
 * Settings are read once, at the start, and whatever is wrong with them ends it with a list of all errors. An
 * exception of another kind would end it with a stack instead, or at a reload not at all as documented.
 */

const CONFIG_FILE = join(dir, 'rm.yaml');
const TOKEN_FILE = join(dir, 'token');
const SECRET = 'hunter2-nobody8';
writeFileSync(TOKEN_FILE, 'a-good-token\n');

const VARIABLES = {
  listen: 'RM_LISTEN',
  metrics_listen: 'RM_METRICS_LISTEN',
  metrics_token: 'RM_METRICS_TOKEN',
  metrics_token_file: 'RM_METRICS_TOKEN_FILE',
  metrics_trusted_cidrs: 'RM_METRICS_TRUSTED_CIDR',
  trusted_proxies: 'RM_TRUSTED_PROXY',
  data_dir: 'RM_DATA_DIR',
  agent_threads: 'RM_AGENT_THREADS',
  tls_cert_file: 'RM_TLS_CERT_FILE',
  tls_key_file: 'RM_TLS_KEY_FILE',
  log_level: 'RM_LOG_LEVEL',
} as const;
type Key = keyof typeof VARIABLES;
const KEYS = Object.keys(VARIABLES) as Key[];
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

describe('any settings at all', () => {
  test('in the environment are settings within their bounds, or errors that name their variables', () => {
    fc.assert(
      fc.property(anyEnvironment, (env) => {
        const loaded = load(env);
        if (loaded instanceof SettingsError) expectSources(loaded, env, undefined);
        else expectBounds(loaded.settings, env);
      }),
      { numRuns: 1_500 },
    );
  });

  test('in a file are settings within their bounds, or errors that name file and place', () => {
    fc.assert(
      fc.property(anyYaml, (yaml) => {
        const loaded = load({}, yaml);
        if (loaded instanceof SettingsError) expectSources(loaded, {}, CONFIG_FILE);
        else expectBounds(loaded.settings, {});
      }),
      { numRuns: 1_500 },
    );
  });

  test('in both are settings within their bounds, or errors that name their source', () => {
    fc.assert(
      fc.property(anyEnvironment, anyYaml, (env, yaml) => {
        const loaded = load(env, yaml);
        if (loaded instanceof SettingsError) expectSources(loaded, env, CONFIG_FILE);
        else expectBounds(loaded.settings, env);
      }),
      { numRuns: 1_000 },
    );
  });

  test('under any name of the file are settings or errors that name it', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.constantFrom('.', '\0', dir, 'a'.repeat(5_000))),
        (name) => {
          const loaded = load({ RM_CONFIG: name });
          if (name === '') expect(loaded).not.toBeInstanceOf(SettingsError);
          else if (loaded instanceof SettingsError) expectSources(loaded, {}, name);
        },
      ),
      { numRuns: 300 },
    );
  });

  test.each([
    ['lists', '[', ']', 200],
    ['maps', '{a: ', '}', 200],
    ['lists of lines', '- ', '', 200],
    ['maps in lists', '[{a: ', '}]', 200],
    // Written out as the key that it is, each floor takes several times as long as the one below.
    ['keys that are maps', '? ', '', 50],
  ])('that are %s in one another are refused', (_, open, close, depth) => {
    for (const yaml of [
      open.repeat(depth),
      open.repeat(depth) + close.repeat(depth),
      `metrics_trusted_cidrs: ${open.repeat(depth)}1${close.repeat(depth)}`,
      `metrics_trusted_cidrs:\n  ${open.repeat(depth)}1${close.repeat(depth)}`,
    ]) {
      const loaded = load({}, yaml);
      expect(loaded).toBeInstanceOf(SettingsError);
      if (loaded instanceof SettingsError) expectSources(loaded, {}, CONFIG_FILE);
    }
  });

  test.each(['- ', '? ', '[', '{a: ', '- - '])(
    'that are thousands of %s in one another are refused at once',
    (open) => {
      for (let n = 0; n < 3; n++) {
        expect(load({}, `${open.repeat(5_000)}a\n`)).toBeInstanceOf(SettingsError);
      }
    },
  );

  test('that blow up when their aliases are followed are refused before they do', () => {
    const lines = Array.from({ length: 30 }, (_, n) => {
      const items = n === 0 ? 'x, x' : `*a${n - 1}, *a${n - 1}`;
      return `k${n}: &a${n} [${items}]\n`;
    });
    expect(load({}, lines.join(''))).toBeInstanceOf(SettingsError);
  });
});

describe('good settings', () => {
  test('are what they say, from wherever they come, and the environment wins', () => {
    fc.assert(
      fc.property(anyGoodSettings, (chosen) => {
        const env: Record<string, string> = {};
        const lines: string[] = [];
        const expected: Record<string, unknown> = { ...DEFAULTS };
        for (const [key, { yaml, variable }] of Object.entries(chosen)) {
          if (yaml !== undefined) {
            lines.push(`${key}: ${yaml.text}\n`);
            expected[key] = yaml.value;
          }
          if (variable !== undefined) {
            env[VARIABLES[key as Key]] = variable.text;
            expected[key] = variable.value;
          }
        }
        // Two listeners on one address are an error.
        fc.pre(JSON.stringify(expected.listen) !== JSON.stringify(expected.metrics_listen));
        const loaded = load(env, lines.join(''));
        if (loaded instanceof SettingsError) throw loaded;
        const { settings } = loaded;
        expect({
          listen: settings.listen,
          metrics_listen: settings.metricsListen,
          metrics_token: settings.access.token,
          metrics_trusted_cidrs: settings.access.trustedCidrs,
          trusted_proxies: settings.access.trustedProxies,
          data_dir: settings.dataDir,
          agent_threads: settings.agentThreads,
          log_level: settings.logLevel,
        }).toEqual(expected);
        expectBounds(settings, env);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the token', () => {
  test('is in no error, whatever else is wrong', () => {
    const placed = fc.oneof(
      fc
        .constantFrom(SECRET, `${SECRET} 2`, SECRET.repeat(100), `${SECRET}\n`, `\u00fc${SECRET}`)
        .map((token) => ({ env: { RM_METRICS_TOKEN: token }, lines: '' })),
      fc.constantFrom(`${SECRET} 2`, `${SECRET}\n\n`, `\0${SECRET}`, SECRET).map((content) => {
        return { env: { RM_METRICS_TOKEN_FILE: TOKEN_FILE }, lines: '', content };
      }),
      fc.constantFrom(...TOKEN_LINES).map((lines) => ({ env: {}, lines })),
    );
    fc.assert(
      fc.property(
        placed,
        anyEnvironment,
        fc.array(anyLine, { maxLength: 4 }),
        fc.array(anyLine, { maxLength: 4 }),
        (token, env, before, after) => {
          if ('content' in token) writeFileSync(TOKEN_FILE, token.content);
          const yaml = [...before, token.lines, ...after].join('');
          const loaded = load({ ...env, ...token.env }, yaml);
          if (!(loaded instanceof SettingsError)) return;
          expectNoSecret(loaded);
          expectSources(loaded, { ...env, ...token.env }, CONFIG_FILE);
        },
      ),
      { numRuns: 1_500 },
    );
  });

  test('is in no error, whatever slips into its line', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...TOKEN_LINES.filter((lines) => /^metrics_token:\s(?!.*\{)/s.test(lines))),
        fc.nat(),
        fc.constantFrom(...'"\'{}[],#&*!|>%@`\\ \t\n', '', ': ', '- '),
        fc.nat({ max: 1 }),
        (lines, at, insert, cut) => {
          // The token as a key is among the slips below.
          fc.pre(!lines.includes(`${SECRET}:`));
          const start = at % (lines.length + 1);
          const text = lines.slice(0, start) + insert + lines.slice(start + cut);
          const loaded = load({}, text);
          if (loaded instanceof SettingsError) expectNoSecret(loaded);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test.each([
    ['a line that goes on below', `log_level: info\n  metrics_token:${SECRET}\n`],
    ['the same, in quotes', `log_level: info\n  metrics_token:"${SECRET}"\n`],
    ['a slip of the indentation', `listen:\n  metrics_token=${SECRET}\n`],
    ['the same, in a list', `trusted_proxies:\n  - metrics_token:${SECRET}\n`],
    ['a bar in the line above', `listen: |\n  127.0.0.1:8080\n  metrics_token: ${SECRET}\n`],
    ['a quote that closes later', `log_level: 'info\n  metrics_token: ${SECRET}\n  '\n`],
    ['another name for the token', `metrics_token: &t ${SECRET}\nlog_level: *t\n`],
    ['the token twice, once elsewhere', `metrics_token: ${SECRET}\nlog_level: ${SECRET}\n`],
    ['the token below its key, as a key', `metrics_token:\n${SECRET}:\n`],
    ['the token behind its key, as a key', `{metrics_token, ${SECRET}}\n`],
    ['a token with a quote, twice', `metrics_token: &t '${SECRET}"1'\nlog_level: *t\n`],
  ])('is in no error after a slip: %s', (_, yaml) => {
    const loaded = load({}, yaml);
    if (loaded instanceof SettingsError) expectNoSecret(loaded);
  });
});

/** Lines of a file with the token, each a slip that somebody may make, beside the one that is right. */
const TOKEN_LINES: readonly string[] = [
  `metrics_token: ${SECRET}\n`,
  `metrics_token: "${SECRET}"\n`,
  `metrics_token: '${SECRET} 2'\n`,
  `metrics_token: ${SECRET} 2\n`,
  `metrics_token: ${SECRET.repeat(100)}\n`,
  `metrics_token:\n  ${SECRET}\n  ${SECRET}\n`,
  `metrics_token: |\n  ${SECRET}\n`,
  `metrics_token: [${SECRET}]\n`,
  `metrics_token: [[{a: [${SECRET}]}]]\n`,
  `metrics_token: {${SECRET}: ${SECRET}}\n`,
  `metrics_token:\n  - ${SECRET}\n`,
  `metrics_token:\n  token: ${SECRET}\n`,
  `metrics_tokn: ${SECRET}\n`,
  `token: ${SECRET}\n`,
  `metrics_token:${SECRET}: 1\n`,
  `"metrics_token=${SECRET}": 1\n`,
  `{metrics_token: ${SECRET}}: 1\n`,
  `? [metrics_token, ${SECRET}]\n`,
  `listen:\n  metrics_token: ${SECRET}\n`,
  `trusted_proxies:\n  - metrics_token: ${SECRET}\n`,
  `metrics_trusted_cidrs: [{metrics_token: ${SECRET}}]\n`,
  `agent_threads: [${SECRET}]\n`,
  `log_level: {level: ${SECRET}}\n`,
  `tls_cert_file: [${SECRET}]\n`,
  `metrics_token: "${SECRET}\n`,
  `metrics_token: @${SECRET}\n`,
  `metrics_token: *${SECRET}\n`,
  `metrics_token: &${SECRET}\n`,
  `metrics_token: !${SECRET} 1\n`,
  `metrics_token: !!binary ${SECRET}\n`,
  `metrics_token: {${SECRET}\n`,
  `metrics_token: ${SECRET}: ${SECRET}\n`,
  `metrics_token: ${SECRET}\nmetrics_token: ${SECRET}\n`,
  `log_level: loud # metrics_token: ${SECRET}\n`,
  `listen: &${SECRET} nowhere\n`,
];

const DEFAULTS = {
  listen: { host: '127.0.0.1', port: 8080 },
  metrics_listen: undefined,
  metrics_token: undefined,
  metrics_trusted_cidrs: [],
  trusted_proxies: [],
  data_dir: './data',
  agent_threads: 1,
  log_level: 'info',
};

/** @throws what is no SettingsError */
function load(env: Environment, yaml?: string): LoadedSettings | SettingsError {
  if (yaml !== undefined) writeFileSync(CONFIG_FILE, yaml);
  try {
    return loadSettings(env, yaml === undefined ? undefined : CONFIG_FILE);
  } catch (error) {
    if (error instanceof SettingsError) return error;
    throw error;
  }
}

/** Neither half of it is anywhere that a log might show. */
function expectNoSecret(error: SettingsError): void {
  const depth = Number.POSITIVE_INFINITY;
  const shown = [error.message, ...error.errors, inspect(error, { depth })].join();
  for (const half of SECRET.split('-')) expect(shown).not.toContain(half);
}

/** Each error begins with a variable that is set, or with the file and the place in it. */
function expectSources(
  { errors }: SettingsError,
  env: Environment,
  file: string | undefined,
): void {
  expect(errors.length).toBeGreaterThan(0);
  for (const error of errors) {
    const variable = KEYS.map((key) => VARIABLES[key]).find((name) =>
      error.startsWith(`${name}: `),
    );
    if (variable !== undefined) {
      expect(env[variable], error).toBeTruthy();
      continue;
    }
    if (file === undefined || !error.startsWith(`${file}: `))
      throw new Error(`no source: ${error}`);
    expect(error.slice(file.length)).toMatch(
      /^: (?:[\w-]+: |nested more than 16 levels|not a name: unknown key|line \d+, column \d+: not valid YAML|not valid YAML|must be a map|cannot be read)/,
    );
  }
}

/** Section 4 of interfaces.md, and that no gate which was asked for is left out. */
function expectBounds(settings: Settings, env: Environment): void {
  const { listen, metricsListen, access, dataDir, agentThreads, tls, logLevel } = settings;
  for (const address of [listen, ...(metricsListen === undefined ? [] : [metricsListen])]) {
    expect(address.host).toMatch(/^[^\s/[\]]+$/);
    expect(Number.isInteger(address.port) && address.port >= 0 && address.port <= 65_535).toBe(
      true,
    );
  }
  if (access.token !== undefined) expect(access.token).toMatch(/^[!-~]{1,1024}$/);
  for (const network of [...access.trustedCidrs, ...access.trustedProxies]) {
    const [address = '', prefix, ...more] = network.split('/');
    expect(isIP(address), network).not.toBe(0);
    const bits = isIP(address) === 4 ? 32 : 128;
    expect(more).toEqual([]);
    if (prefix !== undefined) {
      expect(prefix).toMatch(/^\d{1,3}$/);
      expect(Number(prefix)).toBeLessThanOrEqual(bits);
    }
  }
  expect(dataDir).not.toBe('');
  expect(Number.isInteger(agentThreads) && agentThreads >= 1 && agentThreads <= 64).toBe(true);
  if (tls !== undefined) expect([tls.certFile, tls.keyFile]).not.toContain('');
  expect(LOG_LEVELS).toContain(logLevel);
  if (env.RM_METRICS_TOKEN || env.RM_METRICS_TOKEN_FILE) expect(access.token).toBeDefined();
  if (env.RM_METRICS_TRUSTED_CIDR) expect(access.trustedCidrs).not.toEqual([]);
  if (env.RM_TRUSTED_PROXY) expect(access.trustedProxies).not.toEqual([]);
  if (env.RM_TLS_CERT_FILE || env.RM_TLS_KEY_FILE) expect(tls).toBeDefined();
}

const anyNetwork = fc
  .oneof(
    fc.ipV4().map((address) => ({ address, bits: 32 })),
    // Without the deprecated ::192.0.2.7, and what is mapped has another prefix to obey.
    fc
      .ipV6()
      .filter((address) => !address.includes('.') && !/^[0:]*:ffff:/i.test(address))
      .map((address) => ({ address, bits: 128 })),
  )
  .chain(({ address, bits }) =>
    fc
      .option(fc.nat({ max: bits }))
      .map((prefix) => address + (prefix === null ? '' : `/${prefix}`)),
  );
const anyPort = fc.nat({ max: 65_535 });
const anyListen = fc.oneof(
  fc.tuple(fc.oneof(fc.ipV4(), fc.domain()), anyPort).map(([host, port]) => {
    return { text: `${host}:${port}`, value: { host, port } };
  }),
  fc
    .tuple(fc.constantFrom('::', '::1', '2001:DB8::1', '::ffff:127.0.0.1'), anyPort)
    .map(([host, port]) => ({ text: `[${host}]:${port}`, value: { host, port } })),
);
const anyToken = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 1_024,
  size: 'max',
});

interface Written {
  readonly text: string;
  readonly value: unknown;
}

/** The same value as the text of a variable, and as a value of YAML. */
interface Good {
  readonly variable: fc.Arbitrary<Written>;
  readonly yaml: fc.Arbitrary<Written>;
}

const quoted = (values: fc.Arbitrary<Written>) =>
  values.map(({ text, value }) => ({ text: JSON.stringify(text), value }));
const asText = (variable: fc.Arbitrary<Written>): Good => ({ variable, yaml: quoted(variable) });
const same = (values: fc.Arbitrary<string>) =>
  asText(values.map((text) => ({ text, value: text })));
const listOf = (values: fc.Arbitrary<string>): Good => {
  const lists = fc.array(values, { minLength: 1, maxLength: 5 });
  return {
    variable: fc.tuple(lists, fc.constantFrom(',', ', ', ' ,\t')).map(([value, comma]) => {
      return { text: value.join(comma), value };
    }),
    yaml: lists.map((value) => ({ text: JSON.stringify(value), value })),
  };
};
const anyThreads = fc.integer({ min: 1, max: 64 }).map((value) => ({ text: String(value), value }));

const GOOD = {
  listen: asText(anyListen),
  metrics_listen: asText(anyListen),
  metrics_token: same(anyToken),
  metrics_trusted_cidrs: listOf(anyNetwork),
  trusted_proxies: listOf(anyNetwork),
  data_dir: same(fc.string({ minLength: 1 })),
  agent_threads: { variable: anyThreads, yaml: anyThreads },
  log_level: same(fc.constantFrom(...LOG_LEVELS)),
} as const satisfies Record<string, Good>;

/** For token, certificate and key: whether it is good for them, its content says. */
const anyGoodFile = fc.constant({ text: TOKEN_FILE, value: TOKEN_FILE });

const anyGoodSettings = fc.record(
  Object.fromEntries(
    Object.entries(GOOD).map(([key, { variable, yaml }]) => [
      key,
      fc.record({
        yaml: fc.option(yaml, { nil: undefined }),
        variable: fc.option(variable, { nil: undefined }),
      }),
    ]),
  ),
);

const NASTY_ADDRESSES = [
  '127.0.0.1:65536',
  '::1:80',
  '[::1]',
  '[::1]:',
  ':0',
  ' 127.0.0.1:80',
  'a/b:1',
];
const NASTY_NETWORKS = [
  ...[
    ' ',
    ',',
    ', ,',
    '10.0.0.0/8,',
    ',10.0.0.0/8',
    '10.0.0.0/33',
    '2001:db8::/129',
    '::ffff:0:0/95',
  ],
  ...['010.0.0.1', '10.1', '::1%lo', '10.0.0.0/8/8', '10.0.0.0/08', '10.0.0.0/'],
];
const NASTY_FILES = [dir, '.', '\0', join(dir, 'missing'), 'a'.repeat(5_000)];
/** Just outside of what each setting allows, or nothing but what stands between values. */
const NASTY: Readonly<Record<Key, readonly string[]>> = {
  listen: NASTY_ADDRESSES,
  metrics_listen: NASTY_ADDRESSES,
  metrics_token: ['x'.repeat(1_025), 'two words', ' ', 'a\n', '\0', '\x7f', '\ud800', '\u00fc'],
  metrics_token_file: NASTY_FILES,
  metrics_trusted_cidrs: NASTY_NETWORKS,
  trusted_proxies: NASTY_NETWORKS,
  data_dir: [' ', '\0'],
  agent_threads: ['0', '65', '1.5', '1e1', '-1', '+1', ' 2', '0x2', '9'.repeat(400)],
  tls_cert_file: NASTY_FILES,
  tls_key_file: NASTY_FILES,
  log_level: ['INFO', 'info ', '30', 'constructor', '__proto__', 'toString'],
};
const anyNastyText = fc.constantFrom('', ...Object.values(NASTY).flat());

/** What somebody may take for a value of some setting or other. */
const anyText = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  ...Object.values(GOOD).map(({ variable }) => variable.map(({ text }) => text)),
  fc.integer().map(String),
);

const anyEnvironment: fc.Arbitrary<Environment> = fc
  .record(
    Object.fromEntries(
      [...Object.values(VARIABLES), 'RM_LISTN'].map((name) => [name, anyTextOf(name)]),
    ),
  )
  // Mostly a few, so that some of them are accepted.
  .chain((all) => fc.subarray(Object.entries(all), { maxLength: 4 }))
  .map((some) => Object.fromEntries(some));

/** Good for that variable in one of three. */
function anyTextOf(variable: string): fc.Arbitrary<string> {
  const key = KEYS.find((key) => VARIABLES[key] === variable);
  if (key === undefined) return anyText;
  const nasty = fc.oneof(fc.constantFrom(...NASTY[key]), anyNastyText);
  const good = key in GOOD ? GOOD[key as keyof typeof GOOD].variable : anyGoodFile;
  return fc.oneof(
    good.map(({ text }) => text),
    nasty,
    anyText,
  );
}

const anyKey = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...KEYS) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'lissten',
      'RM_LISTEN',
      '__proto__',
      'constructor',
      '<<',
      '~',
      '1',
      '""',
    ),
  },
);
const anyYamlValue = fc.oneof(
  ...Object.values(GOOD).map(({ yaml }) => yaml.map(({ text }) => text)),
  // What is JSON is YAML.
  fc.jsonValue({ noUnicodeString: false }).map((value) => JSON.stringify(value)),
  fc.oneof(anyNastyText, anyText).map((text) => JSON.stringify(text)),
  fc.array(fc.oneof(anyNastyText, anyText), { maxLength: 3 }).map((list) => JSON.stringify(list)),
  fc.constantFrom(
    '',
    '~',
    'yes',
    '.inf',
    '.nan',
    '0x10',
    '1_000',
    '2001-01-01',
    '!!binary aGk=',
    '*a',
  ),
);
/** A whole line: what is opened on it is closed on it. */
const anyLine = fc.tuple(anyKey, anyYamlValue).map(([key, value]) => `${key}: ${value}\n`);

const anyYaml = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.jsonValue().map((value) => JSON.stringify(value)),
  fc.array(anyLine, { maxLength: 5 }).map((lines) => lines.join('')),
  fc
    .array(
      fc.constantFrom(
        ...[
          'listen',
          'log_level',
          'metrics_trusted_cidrs',
          'info',
          '10.0.0.1',
          '1',
          ': ',
          ':',
          '\n',
        ],
        ...[
          '\n  ',
          '\n- ',
          '- ',
          '? ',
          '{',
          '}',
          '[',
          ']',
          ', ',
          '"',
          "'",
          '|',
          '>',
          '&a ',
          '*a',
          '!!',
        ],
        ...[
          '!!set ',
          '!!omap ',
          '!!binary ',
          '!!int ',
          '<<: ',
          '#',
          '---\n',
          '...\n',
          '%YAML 1.1\n',
        ],
        ...['%TAG ! x\n', '\t', '\r\n', '\ufeff', '\0', '\\', '\u2028', '~', '__proto__', '=', '%'],
      ),
      { maxLength: 30 },
    )
    .map((tokens) => tokens.join('')),
);
