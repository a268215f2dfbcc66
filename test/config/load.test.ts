import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Environment, loadSettings } from '../../src/config/load.ts';
import { SETTINGS, type SettingKey, type Settings } from '../../src/config/settings.ts';
import { createCertificate } from '../support/certificate.ts';
import { needs } from '../support/programs.ts';
import { dir, errors, file, settings } from './loading.ts';

const pair = createCertificate(dir);
const renewed = { cert: join(dir, 'renewed.pem'), key: join(dir, 'renewed.key') };
writeFileSync(renewed.cert, pair.certPem);
writeFileSync(renewed.key, pair.keyPem);

interface Precedence {
  readonly read: (settings: Settings) => unknown;
  readonly byDefault: unknown;
  readonly yaml: string;
  readonly fromYaml: unknown;
  readonly variable: string;
  readonly text: string;
  readonly fromText: unknown;
  /** What else must be set for this to be allowed. */
  readonly beside?: Environment;
  /** Programs that made its values. */
  readonly programs?: readonly string[];
}

const PRECEDENCE: Record<SettingKey, Precedence> = {
  listen: {
    read: ({ listen }) => listen,
    byDefault: { host: '127.0.0.1', port: 8080 },
    yaml: '0.0.0.0:1',
    fromYaml: { host: '0.0.0.0', port: 1 },
    variable: 'RM_LISTEN',
    text: '[::1]:2',
    fromText: { host: '::1', port: 2 },
  },
  metrics_listen: {
    read: ({ metricsListen }) => metricsListen,
    byDefault: undefined,
    yaml: '0.0.0.0:1',
    fromYaml: { host: '0.0.0.0', port: 1 },
    variable: 'RM_METRICS_LISTEN',
    text: 'localhost:2',
    fromText: { host: 'localhost', port: 2 },
  },
  metrics_token: {
    read: ({ access }) => access.token,
    byDefault: undefined,
    yaml: 'in-yaml',
    fromYaml: 'in-yaml',
    variable: 'RM_METRICS_TOKEN',
    text: 'in-env',
    fromText: 'in-env',
  },
  metrics_token_file: {
    read: ({ access }) => access.token,
    byDefault: undefined,
    yaml: file('of-yaml\n'),
    fromYaml: 'of-yaml',
    variable: 'RM_METRICS_TOKEN_FILE',
    text: file('of-env\n'),
    fromText: 'of-env',
  },
  metrics_trusted_cidrs: {
    read: ({ access }) => access.trustedCidrs,
    byDefault: [],
    yaml: '[10.0.0.0/8, "2001:db8::/32"]',
    fromYaml: ['10.0.0.0/8', '2001:db8::/32'],
    variable: 'RM_METRICS_TRUSTED_CIDR',
    text: '192.0.2.0/24, 2001:db8::1,::1',
    fromText: ['192.0.2.0/24', '2001:db8::1', '::1'],
  },
  metrics_exclude: {
    read: ({ metricsExclude }) => metricsExclude,
    byDefault: [],
    yaml: '[rm_host_info]',
    fromYaml: ['rm_host_info'],
    variable: 'RM_METRICS_EXCLUDE',
    text: 'rm_host_info, rm_job_duration_seconds',
    fromText: ['rm_host_info', 'rm_job_duration_seconds'],
  },
  metrics_shard: {
    read: ({ metricsShard }) => metricsShard,
    byDefault: { index: 0, count: 1 },
    yaml: '1/3',
    fromYaml: { index: 1, count: 3 },
    variable: 'RM_METRICS_SHARD',
    text: '999/1000',
    fromText: { index: 999, count: 1_000 },
  },
  trusted_proxies: {
    read: ({ access }) => access.trustedProxies,
    byDefault: [],
    yaml: '[10.0.0.1]',
    fromYaml: ['10.0.0.1'],
    variable: 'RM_TRUSTED_PROXY',
    text: '10.0.0.2',
    fromText: ['10.0.0.2'],
  },
  data_dir: {
    read: ({ dataDir }) => dataDir,
    byDefault: './data',
    yaml: '/var/lib/of yaml',
    fromYaml: '/var/lib/of yaml',
    variable: 'RM_DATA_DIR',
    text: '/var/lib/of env',
    fromText: '/var/lib/of env',
  },
  database_url: {
    read: ({ databaseUrl }) => databaseUrl,
    byDefault: undefined,
    yaml: 'postgres://rm:one@db.example/fleet',
    fromYaml: 'postgres://rm:one@db.example/fleet',
    variable: 'RM_DATABASE_URL',
    text: 'postgresql://rm:two@[::1]:5433,db-2.example/fleet?sslmode=verify-full',
    fromText: 'postgresql://rm:two@[::1]:5433,db-2.example/fleet?sslmode=verify-full',
  },
  database_url_file: {
    read: ({ databaseUrl }) => databaseUrl,
    byDefault: undefined,
    yaml: file('postgres://db/of-yaml\n'),
    fromYaml: 'postgres://db/of-yaml',
    variable: 'RM_DATABASE_URL_FILE',
    text: file('postgres://db/of-env\n'),
    fromText: 'postgres://db/of-env',
  },
  agent_threads: {
    read: ({ agentThreads }) => agentThreads,
    byDefault: 1,
    yaml: '2',
    fromYaml: 2,
    variable: 'RM_AGENT_THREADS',
    text: '64',
    fromText: 64,
  },
  tls_cert_file: {
    read: ({ tls }) => tls?.certFile,
    byDefault: undefined,
    yaml: pair.cert,
    fromYaml: pair.cert,
    variable: 'RM_TLS_CERT_FILE',
    text: renewed.cert,
    fromText: renewed.cert,
    beside: { RM_TLS_KEY_FILE: pair.key },
    programs: ['openssl'],
  },
  tls_key_file: {
    read: ({ tls }) => tls?.keyFile,
    byDefault: undefined,
    yaml: pair.key,
    fromYaml: pair.key,
    variable: 'RM_TLS_KEY_FILE',
    text: renewed.key,
    fromText: renewed.key,
    beside: { RM_TLS_CERT_FILE: pair.cert },
    programs: ['openssl'],
  },
  log_level: {
    read: ({ logLevel }) => logLevel,
    byDefault: 'info',
    yaml: 'silent',
    fromYaml: 'silent',
    variable: 'RM_LOG_LEVEL',
    text: 'trace',
    fromText: 'trace',
  },
};

it('the table of precedence has every setting', () => {
  expect(Object.keys(PRECEDENCE)).toEqual(Object.keys(SETTINGS));
});

for (const [key, row] of Object.entries(PRECEDENCE)) {
  needs(...(row.programs ?? [])).describe(key, () => followsPrecedence(key, row));
}

function followsPrecedence(key: string, row: Precedence): void {
  const { read, byDefault, fromYaml, fromText, variable, text, beside = {} } = row;
  const yaml = `${key}: ${row.yaml}\n`;

  it('has its default', () => {
    expect(read(settings({}))).toEqual(byDefault);
    expect(read(settings({}, ''))).toEqual(byDefault);
  });

  it('is taken from the file', () => {
    expect(read(settings(beside, yaml))).toEqual(fromYaml);
  });

  it('is taken from the environment', () => {
    expect(read(settings({ ...beside, [variable]: text }))).toEqual(fromText);
  });

  it('is taken from the environment if both have it', () => {
    expect(read(settings({ ...beside, [variable]: text }, yaml))).toEqual(fromText);
  });

  it('an empty variable is the same as none', () => {
    expect(read(settings({ [variable]: '' }))).toEqual(byDefault);
    expect(read(settings({ [variable]: undefined }))).toEqual(byDefault);
    expect(read(settings({ ...beside, [variable]: '' }, yaml))).toEqual(fromYaml);
  });

  it.each(['', '""', "''", 'null', '~'])('the YAML value %j is the same as none', (empty) => {
    expect(read(settings({}, `${key}: ${empty}\n`))).toEqual(byDefault);
  });
}

it('an empty list is the same as none', () => {
  expect(settings({}, 'metrics_trusted_cidrs: []\ntrusted_proxies: []\n').access).toEqual({
    token: undefined,
    trustedCidrs: [],
    trustedProxies: [],
  });
});

describe('the configuration file', () => {
  const at = (port: number) => file(`listen: 127.0.0.1:${port}\n`);
  const port = (env: Environment, configFile?: string) =>
    loadSettings(env, configFile).settings.listen.port;

  it('is the one of RM_CONFIG', () => {
    expect(port({ RM_CONFIG: at(1) })).toBe(1);
  });

  it('is the one of --config if both are given, and the other is not even read', () => {
    expect(port({ RM_CONFIG: at(1) }, at(2))).toBe(2);
    expect(port({ RM_CONFIG: join(dir, 'missing.yaml') }, at(2))).toBe(2);
  });

  it('is that of RM_CONFIG if the flag is empty', () => {
    expect(port({ RM_CONFIG: at(1) }, '')).toBe(1);
  });

  it('is none if RM_CONFIG is empty', () => {
    expect(port({ RM_CONFIG: '' })).toBe(8080);
  });

  it.each([
    ['empty', ''],
    ['only comments', '# listen: 127.0.0.1:1\n'],
    ['of another system', '\uFEFFlisten: 127.0.0.1:8080\r\n'],
  ])('may be %s', (_, content) => {
    expect(port({}, file(content))).toBe(8080);
  });

  it.each(['missing.yaml', ''])('cannot be read: %j', (name) => {
    const path = join(dir, name);
    expect(() => loadSettings({}, path)).toThrow(`${path}: cannot be read: `);
    expect(() => loadSettings({ RM_CONFIG: path })).toThrow(`${path}: cannot be read: `);
  });

  it.each([
    ['a key of ours, twice', 'log_level: info\nlisten: 127.0.0.1:1\nlog_level: warn\n', 3],
    ['a bracket left open', 'log_level: info\nmetrics_trusted_cidrs: [10.0.0.0/8\n', 3],
    ['a quote left open', 'log_level: info\nlisten: "127.0.0.1:1\n', 3],
    ['a tab as indentation', 'trusted_proxies:\n\t- 10.0.0.1\n', 2],
    ['a key inside of a value', 'log_level: listen: 127.0.0.1:1\n', 1],
    ['two documents', 'log_level: info\n---\nlog_level: warn\n', 2],
  ])('is no YAML, and the place is named: %s', (_, yaml, line) => {
    const found = errors({}, yaml);
    expect(found).not.toEqual([]);
    for (const error of found) expect(error).toMatch(/^rm\.yaml: line \d+, column \d+: not valid/);
    expect(found[0]).toContain(`line ${line},`);
  });

  it.each([
    ['listen: a\nlisten: b\n', 'the key is there twice'],
    ['trusted_proxies: [\n10.0.0.1]\n', 'check the indentation'],
    ['listen: a\n  log_level: info\n', 'check the indentation of this line and the next one'],
    ['listen: "127.0.0.1:1\n', 'a quote, a bracket or a colon is missing'],
    ['metrics_token\nlisten: a\n', 'a colon is missing, or a line is indented wrongly'],
    ['trusted_proxies:\n\t- 10.0.0.1\n', 'indent with spaces, not with tabs'],
  ])('is no YAML, and the likely cause is named: %j', (yaml, cause) => {
    expect(errors({}, yaml)[0]).toMatch(new RegExp(`: not valid YAML \\([A-Z_]+\\): ${cause}$`));
  });

  it.each([
    ['a list', '- listen\n'],
    ['text', 'listen\n'],
    ['a key without its space', 'listen:127.0.0.1\n'],
    ['a number', '8080\n'],
  ])('is no map of settings but %s', (_, yaml) => {
    expect(errors({}, yaml)).toEqual(['rm.yaml: must be a map of settings']);
  });

  it.each([
    'lissten',
    'LISTEN',
    'RM_LISTEN',
    'metrics_trusted_cidr', // the variable's name has no plural, the key's has
    'trusted_proxy',
    'constructor',
    'toString',
    '__proto__',
  ])('has the unknown key %s', (key) => {
    expect(errors({}, `${key}: 127.0.0.1:1\n`)).toEqual([
      expect.stringMatching(
        new RegExp(`^rm\\.yaml: ${key}: unknown key; known keys are .*log_level$`),
      ),
    ]);
  });

  it('an unknown key without a value is unknown all the same', () => {
    expect(errors({}, 'lissten:\n')).toHaveLength(1);
  });

  // `---` and comments are what is left of a file in which everything is commented out.
  it.each(['---\n', '---\n# listen: 127.0.0.1:1\n', '~\n'])('may be nothing: %j', (yaml) => {
    expect(settings({}, yaml)).toEqual(settings({}));
  });

  it('may say the same list twice, but not a list within itself', () => {
    expect(
      settings({}, 'metrics_trusted_cidrs: &lan [10.0.0.1]\ntrusted_proxies: *lan\n').access,
    ).toMatchObject({ trustedCidrs: ['10.0.0.1'], trustedProxies: ['10.0.0.1'] });
    expect(errors({}, 'metrics_trusted_cidrs: &lan [*lan]\n')).toHaveLength(1);
  });
});

describe('a bad value', () => {
  const LISTEN = [
    '127.0.0.1',
    '8080',
    ':8080',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '127.0.0.1:100000',
    '127.0.0.1:-1',
    '127.0.0.1:http',
    '127.0.0.1:80 ',
    ' 127.0.0.1:80',
    '127.0.0.1:80:80',
    'local host:80',
    '::1:8080',
    '[::1]',
    '[::1]8080',
    '[]:8080',
    '[::1:8080',
    '[fe80::1%eth0]:8080',
    '[127.0.0.1]:8080',
    '[1:2]:8080',
    'http://127.0.0.1:8080',
    '127.0.0.1:8080/metrics',
    '10.0.0.0/8:80',
  ];
  const NETWORKS = [
    '10.0.0.0/33',
    '10.0.0.0/8/8',
    '010.0.0.0/8',
    'localhost',
    '10.0.0.0/8;10.1.0.0/16',
    '10.0.0.0/8 10.1.0.0/16',
    '10.0.0.0/8,garbage',
    // Nothing between commas is a slip; to read it as no gate would open what was to be closed.
    '10.0.0.0/8,',
    ',',
    ' ',
  ];
  const BAD: readonly [string, readonly string[]][] = [
    ['RM_LISTEN', LISTEN],
    ['RM_METRICS_LISTEN', LISTEN],
    ['RM_METRICS_TRUSTED_CIDR', NETWORKS],
    ['RM_TRUSTED_PROXY', NETWORKS],
    [
      'RM_METRICS_EXCLUDE',
      [
        'rm_host',
        'rm_job_duration_seconds_bucket',
        'RM_HOST_INFO',
        'rm_host_info,',
        ' ',
        'toString',
      ],
    ],
    [
      'RM_AGENT_THREADS',
      ['0', '65', '1.5', '-1', '+1', ' 2', '0x2', '1e1', 'two', '9'.repeat(400)],
    ],
    ['RM_LOG_LEVEL', ['INFO', 'verbose', 'warning', 'info ', '30']],
    ['RM_METRICS_TOKEN', ['a b', ' ab', 'ab ', 'ab\n', 'ünï', 'a\0', 'x'.repeat(1_025)]],
  ];

  it.each(BAD.flatMap(([variable, texts]) => texts.map((text) => [variable, text] as const)))(
    'of %s is named with its place: %j',
    (variable, text) => {
      expect(errors({ [variable]: text })).toEqual([
        expect.stringMatching(new RegExp(`^${variable}: must be `)),
      ]);
    },
  );

  it('is the address of the other listener', () => {
    expect(errors({ RM_METRICS_LISTEN: '127.0.0.1:8080' }), 'the default of listen').toEqual([
      'RM_METRICS_LISTEN: is the address of listen; give another port, or leave it out to serve /metrics there',
    ]);
    expect(errors({ RM_LISTEN: '[::]:1', RM_METRICS_LISTEN: '[::]:1' })).toHaveLength(1);
    const free = loadSettings({ RM_LISTEN: '[::]:0', RM_METRICS_LISTEN: '[::]:0' });
    expect(free.settings.metricsListen).toEqual({ host: '::', port: 0 });
    const other = loadSettings({ RM_LISTEN: '[::]:1', RM_METRICS_LISTEN: '127.0.0.1:1' });
    expect(other.settings.metricsListen).toEqual({ host: '127.0.0.1', port: 1 });
  });

  it('is shown, with what would be right', () => {
    expect(errors({ RM_LOG_LEVEL: 'loud' })).toEqual([
      'RM_LOG_LEVEL: must be one of trace, debug, info, warn, error, fatal, silent, not "loud"',
    ]);
    expect(errors({ RM_AGENT_THREADS: '65' })).toEqual([
      'RM_AGENT_THREADS: must be a whole number from 1 to 64, not 65',
    ]);
  });

  it.each([
    ['listen', '8080'],
    ['listen', '[127.0.0.1, 8080]'],
    ['listen', '{host: 127.0.0.1, port: 8080}'],
    ['metrics_listen', 'true'],
    ['metrics_token', '12345'],
    ['metrics_token', '[a]'],
    ['metrics_token', 'true'],
    ['metrics_token', 'x'.repeat(1_025)],
    ['metrics_token_file', '1'],
    ['metrics_trusted_cidrs', '10.0.0.0/8'],
    ['metrics_trusted_cidrs', '10.0.0.0/8, 10.1.0.0/16'],
    ['metrics_trusted_cidrs', '[10]'],
    ['metrics_trusted_cidrs', '[10.0.0.0/8, null]'],
    ['metrics_trusted_cidrs', '[[10.0.0.0/8]]'],
    ['metrics_trusted_cidrs', '{10.0.0.0/8: true}'],
    ['trusted_proxies', '10.0.0.1'],
    ['data_dir', '1'],
    ['data_dir', '[./data]'],
    ['agent_threads', '"2"'],
    ['agent_threads', '1.5'],
    ['agent_threads', '0'],
    ['agent_threads', '65'],
    ['agent_threads', '.inf'],
    ['agent_threads', '.nan'],
    ['agent_threads', 'two'],
    ['tls_cert_file', '1'],
    ['tls_key_file', 'true'],
    ['log_level', 'verbose'],
    ['log_level', '30'],
    ['log_level', 'false'],
  ])('in the file is named with file and key: %s: %s', (key, value) => {
    expect(errors({}, `${key}: ${value}\n`)).toEqual([
      expect.stringMatching(new RegExp(`^rm\\.yaml: ${key}: must be `)),
    ]);
  });

  it('in the file is an error also where the environment overrides it', () => {
    expect(errors({ RM_LOG_LEVEL: 'info' }, 'log_level: loud\n')).toHaveLength(1);
  });
});

it.each([
  ['127.0.0.1:0', '127.0.0.1', 0],
  ['0.0.0.0:65535', '0.0.0.0', 65535],
  ['localhost:80', 'localhost', 80],
  ['backup-1.example.org:80', 'backup-1.example.org', 80],
  ['[::]:8080', '::', 8080],
  ['[::1]:0', '::1', 0],
  ['[2001:DB8::1]:80', '2001:DB8::1', 80],
  ['[::ffff:127.0.0.1]:80', '::ffff:127.0.0.1', 80],
])('listens on %s', (text, host, port) => {
  expect(settings({ RM_LISTEN: text }).listen).toEqual({ host, port });
  expect(settings({}, `listen: "${text}"\n`).listen).toEqual({ host, port });
});

it('a token may have 1,024 characters', () => {
  const token = 'x'.repeat(1_024);
  expect(settings({ RM_METRICS_TOKEN: token }).access.token).toBe(token);
  expect(settings({}, `metrics_token: ${token}\n`).access.token).toBe(token);
});

it('what a token must be is told by variable and key, and the token is not', () => {
  const expected = 'must be 1 to 1024 visible ASCII characters without spaces';
  for (const bad of ['hunter 2', `hunter2${'x'.repeat(1_024)}`]) {
    expect(errors({ RM_METRICS_TOKEN: bad })).toEqual([`RM_METRICS_TOKEN: ${expected}`]);
    expect(errors({}, `metrics_token: ${bad}\n`)).toEqual([`rm.yaml: metrics_token: ${expected}`]);
  }
});

it.each(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])(
  'logs from %s on',
  (level) => {
    expect(settings({ RM_LOG_LEVEL: level }).logLevel).toBe(level);
  },
);

needs('openssl').test('every error is told at once, each by its source', () => {
  const env = {
    RM_LISTEN: 'nowhere',
    RM_TRUSTED_PROXY: 'proxy.example',
    RM_LOG_LEVEL: 'loud',
    RM_METRICS_TOKEN_FILE: join(dir, 'no-such-token'),
    RM_TLS_CERT_FILE: pair.cert,
  };
  const yaml = 'lissten: 127.0.0.1:1\nagent_threads: 0\nmetrics_listen: 80\nlog_level: 1\n';
  const found = errors(env, yaml);
  const sources = [
    /^rm\.yaml: lissten: /,
    /^rm\.yaml: agent_threads: /,
    /^rm\.yaml: metrics_listen: /,
    /^rm\.yaml: log_level: /,
    /^RM_LISTEN: /,
    /^RM_TRUSTED_PROXY: /,
    /^RM_LOG_LEVEL: /,
    /^RM_METRICS_TOKEN_FILE\b/,
    /\bRM_TLS_KEY_FILE\b/,
  ];
  for (const source of sources) {
    expect(found.filter((error) => source.test(error))).toHaveLength(1);
  }
  expect(found).toHaveLength(sources.length);
});

it('the error has the code that ends the start, and a line an error', () => {
  expect(() => loadSettings({ RM_LISTEN: 'nowhere', RM_LOG_LEVEL: 'loud' })).toThrow(
    expect.objectContaining({
      code: 'invalid_settings',
      message: expect.stringMatching(/^RM_LISTEN: [^\n]+\nRM_LOG_LEVEL: [^\n]+$/),
    }),
  );
});

it('variables that only look like ours are reported, by name', () => {
  const env = {
    RM_LISTN: '127.0.0.1:1',
    RM_LISTEN: '127.0.0.1:1',
    RM_CONFIG: file(''),
    RM_METRICS_TRUSTED_CIDRS: '10.0.0.0/8', // the key's plural on the variable
    RM_: '',
    RMX_LISTEN: '1',
    rm_listen: '1',
    PATH: '/bin',
  };
  const { unknownVariables } = loadSettings(env);
  expect(unknownVariables.toSorted()).toEqual(['RM_', 'RM_LISTN', 'RM_METRICS_TRUSTED_CIDRS']);
  expect(loadSettings({ PATH: '/bin' }).unknownVariables).toEqual([]);
});

it('the environment is left as it was', () => {
  const env = Object.freeze({
    RM_CONFIG: file('log_level: warn\n'),
    RM_TRUSTED_PROXY: '10.0.0.1,10.0.0.2',
    RM_METRICS_TOKEN: 's3cret',
    RM_DATA_DIR: '',
    RM_UNKNOWN: '1',
  });
  const before = { ...env };
  loadSettings(env);
  expect(env).toEqual(before);
});

it('one load leaves nothing behind for the next', () => {
  settings({ RM_TRUSTED_PROXY: '10.0.0.1', RM_LISTEN: '[::1]:1' }, 'agent_threads: 3\n');
  expect(settings({})).toEqual({
    listen: { host: '127.0.0.1', port: 8080 },
    metricsListen: undefined,
    access: { token: undefined, trustedCidrs: [], trustedProxies: [] },
    dataDir: './data',
    databaseUrl: undefined,
    metricsExclude: [],
    metricsShard: { index: 0, count: 1 },
    agentThreads: 1,
    tls: undefined,
    logLevel: 'info',
  });
});

describe('YAML that is nested too deeply is refused, not parsed', () => {
  it.each([
    ['values', `listen: ${'['.repeat(20_000)}`],
    ['keys', `${'? '.repeat(20_000)}x\n`],
  ])('in %s', (_, yaml) => {
    expect(errors({ RM_CONFIG: file(yaml) })[0]).toMatch(/nested more than 16 levels/);
  });

  it('more than 16 levels are too deep', () => {
    const listen = (levels: number) => `listen: ${'['.repeat(levels)}${']'.repeat(levels)}\n`;
    expect(errors({}, listen(16))).toEqual(['rm.yaml: listen: must be HOST:PORT, not a list']);
    expect(errors({}, listen(17))[0]).toMatch(/nested more than 16 levels/);
  });
});
