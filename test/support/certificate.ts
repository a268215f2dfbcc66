import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { missing } from './programs.ts';

export interface Certificate {
  /** Paths of the files. */
  readonly cert: string;
  readonly key: string;
  readonly certPem: string;
  readonly keyPem: string;
}

/** In place of a certificate where there is no openssl, for the tables of tests that are skipped. */
const NONE: Certificate = { cert: '', key: '', certPem: '', keyPem: '' };

/**
 * Creates a self-signed certificate for localhost, with a new key. Every test that uses it must be skipped where
 * openssl is missing.
 */
export function createCertificate(
  dir: string,
  name = 'localhost',
  curve = 'prime256v1',
): Certificate {
  if (missing('openssl')) return NONE;
  const cert = join(dir, `${name}.pem`);
  const key = join(dir, `${name}.key`);
  const parameters = `-x509 -newkey ec -pkeyopt ec_paramgen_curve:${curve} -nodes -days 2`;
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync(
    'openssl',
    ['req', ...parameters.split(' '), ...subject, '-keyout', key, '-out', cert],
    { stdio: 'pipe' },
  );
  return { cert, key, certPem: readFileSync(cert, 'utf8'), keyPem: readFileSync(key, 'utf8') };
}
