import { expect, test } from 'vitest';
import { introduction } from '../../src/demo/introduction.ts';

const token = '0123456789abcdef';

test.each([1, 100, 18_000])('fits 80 columns with %d hosts', (hosts) => {
  const text = introduction({
    hosts,
    url: 'http://127.0.0.1:8080',
    token,
    takenPort: undefined,
    restic: false,
  });
  for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  expect(text).toContain(hosts === 1 ? 'agents of 1 host. ' : `agents of ${hosts} hosts. `);
});

test('a port that is taken and real hosts are spoken of, within 80 columns', () => {
  const url = 'http://127.0.0.1:45678';
  const text = introduction({ hosts: 3, url, token, takenPort: 8080, restic: true });
  for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  expect(text).toContain(`\n  ${url}/#token=${token}\n  (port 8080 is in use)\n\n`);
  expect(text).toContain('restic-1 to restic-3');
  const plain = introduction({ hosts: 3, url, token, takenPort: undefined, restic: false });
  expect(plain).toContain(`\n  ${url}/#token=${token}\n\n`);
  expect(plain).not.toContain('restic-1');
});

test('an IPv6 address is quoted for the shell', () => {
  const text = introduction({
    hosts: 3,
    url: 'http://[::1]:8080',
    token,
    takenPort: undefined,
    restic: false,
  });
  expect(text).toContain(
    `\ncurl -H 'Authorization: Bearer ${token}' 'http://[::1]:8080/metrics'\n`,
  );
  expect(text).toContain(`\n      - targets: ['[::1]:8080']\n`);
});
