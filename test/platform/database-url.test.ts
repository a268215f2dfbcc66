import { describe, expect, it } from 'vitest';
import { parseDatabaseUrl } from '../../src/platform/database-url.ts';

describe('database_url', () => {
  it.each<[url: string, addresses: string[], place: string]>([
    [
      'postgres://rm:pass@db.example:5433/fleet?sslmode=verify-full',
      ['postgres://rm:pass@db.example:5433/fleet?sslmode=verify-full'],
      'postgres://db.example:5433/fleet',
    ],
    [
      'postgresql://rm:p%40ss@a,b:5433,[::1]:5434/fleet',
      [
        'postgres://rm:p%40ss@a/fleet',
        'postgres://rm:p%40ss@b:5433/fleet',
        'postgres://rm:p%40ss@[::1]:5434/fleet',
      ],
      'postgres://a,b:5433,[::1]:5434/fleet',
    ],
    ['postgres://db', ['postgres://db'], 'postgres://db'],
    [
      'postgres://rm@%2Fvar%2Frun%2Fpostgresql/fleet',
      ['postgres://rm@%2Fvar%2Frun%2Fpostgresql/fleet'],
      'postgres://%2Fvar%2Frun%2Fpostgresql/fleet',
    ],
  ])('%s has a URL for each host, and a place without the password', (url, addresses, place) => {
    expect(parseDatabaseUrl(url)).toEqual({ addresses, place });
  });

  it('may have 16 hosts', () => {
    const hosts = Array.from({ length: 16 }, (_, n) => `db-${n}`);
    expect(parseDatabaseUrl(`postgres://${hosts}/fleet`)?.addresses).toHaveLength(16);
  });

  it.each([
    '',
    'fleet',
    'mysql://db/fleet',
    'postgres:/db/fleet',
    'postgres:///fleet',
    'postgres://rm:pa@ss@db/fleet',
    'postgres://rm:pa/ss@db/fleet',
    'postgres://rm:123/secret@db/fleet', // else 123 would be a port, and the secret a part of the database
    'postgres://rm:123?secret@db/fleet',
    'postgres://db:port/fleet',
    'postgres://db:70000/fleet',
    'postgres://a,,b/fleet',
    'postgres://rm:%zz@db/fleet',
    'postgres://%zz@db/fleet',
    'postgres://rm@%zz/fleet',
    'postgres://rm@db/%zz',
    'postgres://rm@db,%zz/fleet',
    'postgres://db/fleet#part',
    ' postgres://db/fleet',
    `postgres://${Array.from({ length: 17 }, (_, n) => `db-${n}`)}/fleet`,
  ])('is not %j', (url) => {
    expect(parseDatabaseUrl(url)).toBeUndefined();
  });
});
