import { join } from 'node:path';
import { expect } from 'vitest';
import type { Environment } from '../../src/config/load.ts';
import { createCertificate } from '../support/certificate.ts';
import { needs } from '../support/programs.ts';
import { dir, errors, file, settings } from './loading.ts';

const { describe, test: it } = needs('openssl');
const { cert, key, certPem, keyPem } = createCertificate(dir);
const other = createCertificate(dir, 'other');

const tls = (certFile: string, keyFile: string) => ({
  RM_TLS_CERT_FILE: certFile,
  RM_TLS_KEY_FILE: keyFile,
});

it.each<[string, Environment, string]>([
  ['the environment', tls(cert, key), ''],
  ['the file', {}, `tls_cert_file: ${cert}\ntls_key_file: ${key}\n`],
  ['one from each', { RM_TLS_KEY_FILE: key }, `tls_cert_file: ${cert}\n`],
])('a pair is taken from %s', (_, env, yaml) => {
  expect(settings(env, yaml).tls).toEqual({ certFile: cert, keyFile: key });
});

it('a chain is taken, its first certificate being the one of the key', () => {
  const chain = file(certPem + other.certPem);
  expect(settings(tls(chain, key)).tls).toEqual({ certFile: chain, keyFile: key });
  expect(errors(tls(file(other.certPem + certPem), key))).toHaveLength(1);
});

describe('one without the other', () => {
  it.each<[string, Environment, string]>([
    ['RM_TLS_KEY_FILE', { RM_TLS_CERT_FILE: cert }, ''],
    ['RM_TLS_CERT_FILE', { RM_TLS_KEY_FILE: key }, ''],
    ['tls_key_file', {}, `tls_cert_file: ${cert}\n`],
    ['tls_cert_file', {}, `tls_key_file: ${key}\n`],
    ['RM_TLS_KEY_FILE', tls(cert, ''), ''],
    ['tls_cert_file', {}, `tls_cert_file:\ntls_key_file: ${key}\n`],
  ])('misses %s', (missing, env, yaml) => {
    const [error, ...more] = errors(env, yaml);
    expect(more).toEqual([]);
    expect(error).toMatch(new RegExp(`\\b${missing}\\b`));
    expect(error).not.toContain('cannot be read');
  });
});

describe('a file that is of no use is named', () => {
  const der = file(Buffer.from(certPem.replaceAll(/-----.*-----/g, ''), 'base64'));

  it.each([
    ['certificate missing', tls(join(dir, 'none'), key), 'RM_TLS_CERT_FILE', 'cannot be read'],
    ['certificate a directory', tls(dir, key), 'RM_TLS_CERT_FILE', 'cannot be read'],
    ['certificate empty', tls(file(''), key), 'RM_TLS_CERT_FILE', 'certificate in PEM'],
    ['certificate no PEM', tls(der, key), 'RM_TLS_CERT_FILE', 'certificate in PEM'],
    ['certificate torn', tls(file(certPem.slice(0, 200)), key), 'RM_TLS_CERT_FILE', 'PEM'],
    ['certificate a key', tls(key, key), 'RM_TLS_CERT_FILE', 'certificate in PEM'],
    ['key missing', tls(cert, join(dir, 'none')), 'RM_TLS_KEY_FILE', 'cannot be read'],
    ['key empty', tls(cert, file('')), 'RM_TLS_KEY_FILE', 'private key in PEM'],
    ['key no PEM', tls(cert, file('key')), 'RM_TLS_KEY_FILE', 'private key in PEM'],
    ['key torn', tls(cert, file(keyPem.slice(0, 100))), 'RM_TLS_KEY_FILE', 'private key in PEM'],
    ['key a certificate', tls(cert, cert), 'RM_TLS_KEY_FILE', 'private key in PEM'],
    ["key another certificate's", tls(cert, other.key), 'RM_TLS_KEY_FILE', 'not the key of'],
  ])('%s', (_, env, source, expected) => {
    expect(errors(env)).toEqual([
      expect.stringMatching(new RegExp(`^${source}\\b.*: .*${expected}`)),
    ]);
  });

  it('both at once', () => {
    const found = errors(tls(join(dir, 'none'), file('key')));
    expect(found).toHaveLength(2);
    expect(found[0]).toContain('RM_TLS_CERT_FILE');
    expect(found[1]).toContain('RM_TLS_KEY_FILE');
  });

  it('and nothing of a key is shown', () => {
    const line = keyPem.split('\n')[1] ?? '';
    expect(line).toMatch(/^[\w+/]{64}$/);
    const found = [...errors(tls(key, key)), ...errors(tls(cert, file(keyPem.slice(0, 100))))];
    expect(found.join('\n')).not.toContain(line.slice(0, 20));
  });

  it('with the very source of the setting', () => {
    const none = join(dir, 'none');
    expect(errors(tls(none, key))[0]).toMatch(/^RM_TLS_CERT_FILE: /);
    expect(errors({}, `tls_cert_file: ${none}\ntls_key_file: ${key}\n`)[0]).toMatch(
      /^rm\.yaml: tls_cert_file: /,
    );
    expect(errors({}, `tls_cert_file: ${cert}\n`)[0]).toMatch(/^rm\.yaml: tls_cert_file: /);
  });
});
