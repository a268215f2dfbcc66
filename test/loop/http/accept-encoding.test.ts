import { expect, it } from 'vitest';
import { acceptsGzip } from '../../../src/loop/http/accept-encoding.ts';

it.each([
  ['gzip', true], // Prometheus
  ['deflate, gzip, br, zstd', true], // curl --compressed
  ['gzip, deflate, br, zstd', true], // browsers
  ['GZip', true],
  ['br,gzip', true],
  ['  gzip  ', true],
  ['gzip;q=1', true],
  ['gzip; q=0.5', true],
  ['gzip ;\tq=0.001', true],
  ['gzip;Q=0.5', true],
  ['identity;q=1, gzip;q=0.1', true], // allowed, if not liked
  ['*', true],
  ['*;q=0.1', true],
  ['br;q=1, *;q=0.5', true],
  ['*;q=0, gzip', true],
  ['gzip, *;q=0', true],
  [', ,gzip,', true],

  ['', false],
  ['identity', false],
  ['deflate, br', false],
  ['gzip;q=0', false],
  ['gzip; q=0.000', false],
  ['gzip;Q=0', false],
  ['GZIP;q=0', false],
  ['gzip;q=0, *', false], // named and refused: the star does not cover it
  ['*, gzip;q=0', false],
  ['*;q=0', false],
  ['identity, *;q=0', false],
  ['gzipped', false],
  ['not-gzip', false],
  ['gzip/1.0', false],
  ['identity;x=gzip', false],
  // What cannot be read is no permission.
  ['gzip;q=', false],
  ['gzip;q=yes', false],
  ['gzip;q=-1', false],
])('%j: %s', (header, accepted) => {
  expect(acceptsGzip(header)).toBe(accepted);
});
