import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  /** Paths of the files. */
  readonly cert: string;
  readonly key: string;
  readonly certPem: string;
  readonly keyPem: string;
}

/** Creates a self-signed certificate for localhost, with a new key. */
export function createCertificate(
  dir: string,
  name = 'localhost',
  curve = 'prime256v1',
): Certificate {
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
