import { expect, it } from 'vitest';
import { checkHost, type Host } from '../../src/contract/host.ts';
import { ulidOf } from '../support/ulid.ts';

const HOST: Host = { hostId: ulidOf(1), host: 'web', online: true };

it.each<[object, string]>([
  [{ hostId: ulidOf(1).toLowerCase() }, 'hostId'],
  [{ host: 7 }, 'host'],
  [{ online: 1 }, 'online'],
  [{ reportsByHttp: 'yes' }, 'reportsByHttp'],
  [{ lastBackup: null }, 'lastBackup'],
  [{ lastBackup: { succeeded: true } }, 'lastBackup.finishedAtMs'],
  [{ lastBackup: { finishedAtMs: 1.5, succeeded: true } }, 'lastBackup.finishedAtMs'],
  [{ lastBackup: { finishedAtMs: 1, succeeded: 1 } }, 'lastBackup.succeeded'],
  [{ lastBackup: { finishedAtMs: 1, succeeded: true, durationMs: -1 } }, 'lastBackup.durationMs'],
  [{ lastBackupSuccessMs: 1.5 }, 'lastBackupSuccessMs'],
  [{ lastCheckSuccessMs: Number.NaN }, 'lastCheckSuccessMs'],
  [{ lastBackupAddedBytes: -1 }, 'lastBackupAddedBytes'],
  [{ backupIntervalSeconds: -1 }, 'backupIntervalSeconds'],
  [{ repoSizeBytes: 2 ** 53 }, 'repoSizeBytes'],
  [{ snapshotCount: 0.5 }, 'snapshotCount'],
  [{ repoStatus: 'broken' }, 'repoStatus'],
  [{ openAlerts: { info: 2 ** 31 } }, 'openAlerts.info'],
  [{ agentVersion: 'a\n' }, 'agentVersion'],
  [{ resticVersion: 7 }, 'resticVersion'],
  [{ os: 'a\u202e' }, 'os'],
  [{ arch: 'x'.repeat(256) }, 'arch'],
])('a host with %j is refused by the name of the field', (fields, field) => {
  expect(() => checkHost({ ...HOST, ...fields })).toThrow(
    expect.objectContaining({
      code: 'invalid_host',
      message: expect.stringMatching(new RegExp(`^host\\.${field}: must `)),
    }),
  );
});

it('a host may have the largest values', () => {
  const largest = Number.MAX_SAFE_INTEGER;
  expect(() =>
    checkHost({
      ...HOST,
      lastBackup: { finishedAtMs: -1, succeeded: false, durationMs: largest },
      repoSizeBytes: largest,
      snapshotCount: 0,
      openAlerts: { critical: 2 ** 31 - 1 },
      arch: 'x'.repeat(255),
    }),
  ).not.toThrow();
});

it('a wrong value is shown by its start, however long it is', () => {
  expect(() => checkHost({ ...HOST, hostId: 'x'.repeat(1_000_000) })).toThrow(/not "x{79}$/);
});

it.each([undefined, null, 'web', 7])('a host must be an object, not %j', (host) => {
  expect(() => checkHost(host as unknown as Host)).toThrow(
    expect.objectContaining({
      code: 'invalid_host',
      message: `host: must be an object, not ${host}`,
    }),
  );
});

it('a host may lack everything that is optional', () => {
  expect(() => checkHost(HOST)).not.toThrow();
});
