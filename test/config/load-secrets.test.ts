import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Environment } from '../../src/config/load.ts';
import { dir, errors, file, refusal, settings } from './loading.ts';

const SECRET = 'hunter2';

describe('the token of a file', () => {
  const token = (content: string) =>
    settings({ RM_METRICS_TOKEN_FILE: file(content) }).access.token;

  it.each([
    ['no newline', 'hunter2'],
    ['a newline', 'hunter2\n'],
    ['a newline of another system', 'hunter2\r\n'],
  ])('may end in %s', (_, content) => {
    expect(token(content)).toBe('hunter2');
  });

  it('may have 1,024 characters, its newline not counted', () => {
    expect(token(`${'x'.repeat(1_024)}\r\n`)).toBe('x'.repeat(1_024));
  });

  it.each([
    ['empty', ''],
    ['only a newline', '\n'],
    ['two lines', 'hunter2\nhunter3\n'],
    ['an empty line at the end', 'hunter2\n\n'],
    ['a space at the end', 'hunter2 \n'],
    ['a space in front', ' hunter2\n'],
    ['a carriage return alone', 'hunter2\r'],
    ['a byte order mark', '\uFEFFhunter2\n'],
    ['letters that no header can carry', 'hünter2\n'],
    ['a NUL', 'hunter2\0'],
    ['1,025 characters', `${'x'.repeat(1_025)}\n`],
    ['a file of something else', `${'x'.repeat(64)}\n`.repeat(1_000)],
  ])('is refused, not trimmed or sent as it is: %s', (_, content) => {
    const path = file(content);
    expect(errors({ RM_METRICS_TOKEN_FILE: path })).toEqual([
      expect.stringMatching(
        /^RM_METRICS_TOKEN_FILE\b.* must contain 1 to 1024 visible ASCII characters without spaces$/,
      ),
    ]);
    expect(errors({ RM_METRICS_TOKEN_FILE: path })[0]).toContain(path);
  });

  it.each([
    ['missing', join(dir, 'no-such-token')],
    ['a directory', dir],
  ])('is named if it is %s', (_, path) => {
    expect(errors({ RM_METRICS_TOKEN_FILE: path })).toEqual([
      expect.stringMatching(/^RM_METRICS_TOKEN_FILE\b.* cannot be read: /),
    ]);
    expect(errors({}, `metrics_token_file: ${path}\n`)).toEqual([
      expect.stringMatching(/\bmetrics_token_file: cannot be read: /),
    ]);
  });
});

describe('token and token file are never set together', () => {
  const path = file(SECRET);

  it.each<[string, Environment, string]>([
    ['in the environment', { RM_METRICS_TOKEN: SECRET, RM_METRICS_TOKEN_FILE: path }, ''],
    ['in the file', {}, `metrics_token: ${SECRET}\nmetrics_token_file: ${path}\n`],
    ['token above', { RM_METRICS_TOKEN: SECRET }, `metrics_token_file: ${path}\n`],
    ['token file above', { RM_METRICS_TOKEN_FILE: path }, `metrics_token: ${SECRET}\n`],
    ['file missing', { RM_METRICS_TOKEN: SECRET, RM_METRICS_TOKEN_FILE: join(dir, 'none') }, ''],
  ])('%s', (_, env, yaml) => {
    const [error, ...more] = errors(env, yaml);
    expect(more).toEqual([]);
    expect(error).toMatch(/METRICS_TOKEN_FILE|metrics_token_file/);
    expect(error).toMatch(/METRICS_TOKEN\b|metrics_token\b/);
  });

  it('an empty one is not set', () => {
    const both = { RM_METRICS_TOKEN: '', RM_METRICS_TOKEN_FILE: path };
    expect(settings(both).access.token).toBe(SECRET);
    expect(
      settings({ ...both, RM_METRICS_TOKEN: 'x', RM_METRICS_TOKEN_FILE: '' }).access.token,
    ).toBe('x');
  });

  // The one error must not hide the other until it is mended.
  it('is told also where the token itself is bad', () => {
    const bad = { RM_METRICS_TOKEN: `${SECRET} 2`, RM_METRICS_TOKEN_FILE: path };
    expect(errors(bad)).toHaveLength(2);
  });
});

describe('an error names the very source of the setting', () => {
  const missing = join(dir, 'no-such-token');

  it('a token file of the environment', () => {
    expect(errors({ RM_METRICS_TOKEN_FILE: missing })[0]).toMatch(/^RM_METRICS_TOKEN_FILE: /);
  });

  it('a token file of the configuration file', () => {
    expect(errors({}, `metrics_token_file: ${missing}\n`)[0]).toMatch(
      /^rm\.yaml: metrics_token_file: /,
    );
  });

  it('both, where they contradict each other', () => {
    const [error] = errors({ RM_METRICS_TOKEN: SECRET }, `metrics_token_file: ${missing}\n`);
    expect(error).toContain('rm.yaml: metrics_token_file');
    expect(error).toContain('RM_METRICS_TOKEN');
    expect(error).not.toContain('RM_METRICS_TOKEN_FILE');
  });
});

const PEM = `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----\n`;

/** Everything of an error that a log might show, its stack and causes with it. */
function everything(env: Environment, yaml?: string): string {
  const error = refusal(env, yaml === undefined ? undefined : file(yaml));
  return `${error.message}\n${JSON.stringify(error)}\n${inspect(error, { depth: Infinity })}`;
}

describe('a secret is never shown', () => {
  it.each<[string, Environment, string?]>([
    ['a bad token in the environment', { RM_METRICS_TOKEN: `${SECRET} 2` }],
    ['a bad token in the file', {}, `metrics_token: ${SECRET} 2\n`],
    ['a good one beside other errors', { RM_METRICS_TOKEN: SECRET, RM_LOG_LEVEL: 'loud' }],
    ['a good one in the file', { RM_LOG_LEVEL: 'loud' }, `metrics_token: ${SECRET}\n`],
    ['a bad one in a token file', { RM_METRICS_TOKEN_FILE: file(`${SECRET} 2`) }],
    ['one that is too long', { RM_METRICS_TOKEN: SECRET.repeat(1_000) }],
    ['the same in the file', {}, `metrics_token: ${SECRET.repeat(1_000)}\n`],
    ['the same in a token file', { RM_METRICS_TOKEN_FILE: file(SECRET.repeat(1_000)) }],
    ['both set', { RM_METRICS_TOKEN: SECRET, RM_METRICS_TOKEN_FILE: file(SECRET) }],
    ['a list', {}, `metrics_token: [${SECRET}]\n`],
    ['a map', {}, `metrics_token: {${SECRET}: ${SECRET}}\n`],
    ['a number', {}, 'metrics_token: 4711\n'],
    ['text of two lines', {}, `metrics_token: |\n  ${SECRET}\n  ${SECRET}\n`],
    ['a token twice', {}, `metrics_token: ${SECRET}\nmetrics_token: ${SECRET}\n`],
    ['a token under a mistyped key', {}, `metrics_tokn: ${SECRET}\n`],
    ['a token in a mistyped variable', { RM_METRICS_TOKN: SECRET, RM_LOG_LEVEL: 'loud' }],
    ['no space behind the colon', {}, `metrics_token:${SECRET}\n`],
    ['the same, with more below', {}, `metrics_token:${SECRET}\nlog_level: info\n`],
    ['a quote left open', {}, `metrics_token: "${SECRET}\n`],
    ['a quote too many', {}, `metrics_token: "${SECRET}"${SECRET}"\n`],
    ['an escape that is none', {}, `metrics_token: "\\${SECRET}"\n`],
    ['a map on its line', {}, `metrics_token: ${SECRET}: ${SECRET}\n`],
    ['a character that starts no value', {}, `metrics_token: @${SECRET}\n`],
    ['a backtick', {}, `metrics_token: \`${SECRET}\`\n`],
    ['a percent sign', {}, `metrics_token: %${SECRET}\n`],
    ['an exclamation mark', {}, `metrics_token: !x!${SECRET}\n`],
    ['a brace', {}, `metrics_token: {${SECRET}\n`],
    ['a bracket', {}, `metrics_token: ${SECRET}\nlisten: [\n`],
    ['the token alone', {}, `${SECRET}\n`],
    ['the token in a list', {}, `- metrics_token: ${SECRET}\n`],
    [
      'the token in place of a file',
      { RM_METRICS_TOKEN: SECRET, RM_TLS_CERT_FILE: SECRET, RM_TLS_KEY_FILE: SECRET },
    ],
    ['a private key in place of its file', { RM_TLS_CERT_FILE: 'x', RM_TLS_KEY_FILE: PEM }],
    [
      'the same, its lines joined',
      { RM_TLS_CERT_FILE: 'x', RM_TLS_KEY_FILE: PEM.replaceAll('\n', ' ') },
    ],
    ['a long private key', { RM_TLS_CERT_FILE: 'x', RM_TLS_KEY_FILE: PEM.repeat(100) }],
    ['a private key in place of another setting', { RM_LISTEN: PEM.replaceAll('\n', ' ') }],
    ['a line that was indented into another setting', {}, `log_level: |\n  info\n  ${SECRET}\n`],
  ])('%s', (_, env, yaml) => {
    const shown = everything(env, yaml);
    expect(shown).not.toContain(SECRET);
    expect(shown).not.toContain('4711');
  });

  it.each([
    // To YAML, a star is the name of something above.
    ['a token with a star in front', `metrics_token: *${SECRET}\n`],
    ['no space behind the colon, in braces', `{metrics_token:${SECRET}}\n`],
    ['the same, in quotes', `"metrics_token:${SECRET}":\n`],
    ['an equals sign for the colon, in braces', `{metrics_token=${SECRET}}\n`],
    ['a slip of the indentation', `listen:\n  metrics_token: ${SECRET}\n`],
    ['the same, in a list', `trusted_proxies:\n  - metrics_token: ${SECRET}\n`],
  ])('%s', (_, yaml) => {
    expect(everything({}, yaml)).not.toContain(SECRET);
  });
});

it('a long key is not shown, because the token may be in it', () => {
  const words = 'correct-horse-battery-staple';
  expect(everything({}, `metrics_token-${words}: x\n`)).not.toContain(words);
});

describe('a token that is in another setting by mistake is not shown', () => {
  it.each([
    ['within other text', `metrics_token: ${SECRET}\nlisten: "http://x/${SECRET}/y"\n`],
    ['as a number', 'metrics_token: 8675309\nagent_threads: 8675309\n'],
  ])('%s', (_, yaml) => {
    const [error = '', ...others] = errors({ RM_CONFIG: file(yaml) });
    expect(error + others.join('')).not.toMatch(/hunter2|8675309/);
    expect(error + others.join('')).toMatch(/listen|agent_threads/);
  });
});

describe('the password of the database', () => {
  const URL = `postgres://rm:${SECRET}@db/fleet`;

  it.each<[string, Environment, string]>([
    ['a wrong URL', { RM_DATABASE_URL: `mysql://rm:${SECRET}@db/fleet` }, ''],
    ['a wrong URL in YAML', {}, `database_url: "postgres://rm:${SECRET}@db:port/fleet"\n`],
    ['a wrong URL in a file', { RM_DATABASE_URL_FILE: file(`rm:${SECRET}@db`) }, ''],
    ['a URL in place of a file', { RM_DATABASE_URL_FILE: URL }, ''],
    ['a URL in place of another setting', { RM_DATABASE_URL: URL, RM_LISTEN: URL }, ''],
    ['a URL in place of a network', { RM_METRICS_TRUSTED_CIDR: URL }, ''],
    ['a URL with a scheme in capitals', { RM_METRICS_TRUSTED_CIDR: URL.replace('p', 'P') }, ''],
    ['a URL with the other scheme', { RM_METRICS_TRUSTED_CIDR: URL.replace('://', 'ql://') }, ''],
    ['a URL behind a slip', {}, `trusted_proxies:\n  - database_url:${URL}\n`],
    ['both', { RM_DATABASE_URL: URL, RM_DATABASE_URL_FILE: file(URL) }, ''],
  ])('does not show in the error: %s', (_, env, yaml) => {
    const shown = errors(env, yaml);
    expect(shown).toHaveLength(1);
    expect(shown.join()).not.toContain(SECRET);
  });

  const NO_URL = `host=db password=${SECRET}`;

  it.each<[string, Environment, string]>([
    ['in the environment', { RM_DATABASE_URL: NO_URL, RM_LISTEN: NO_URL }, ''],
    ['in the file', {}, `database_url: ${NO_URL}\nlisten: ${NO_URL}\n`],
  ])(
    'does not show where the same text is in another setting, though it is no URL: %s',
    (_, env, yaml) => {
      const shown = errors(env, yaml);
      expect(shown).toHaveLength(2);
      expect(shown.join()).not.toContain(SECRET);
    },
  );
});
