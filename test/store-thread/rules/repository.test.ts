import { expect, it } from 'vitest';
import { repoStats } from '../../../src/store-thread/rules/repository.ts';
import { AT, OFFLINE } from './record.ts';

const KNOWN = {
  ...OFFLINE,
  repoSizeBytes: 7,
  snapshotCount: 3,
  repoStatus: 'ready',
  alerts: { init_failed: AT, check_failed: AT },
} as const;

it.each<[string, object, object]>([
  ['nothing', {}, {}],
  [
    'an empty repository',
    { totalSizeBytes: 0, snapshotCount: 0 },
    { repoSizeBytes: 0, snapshotCount: 0 },
  ],
  ['that it is unknown', { repoStatus: 'unknown' }, { repoStatus: 'unknown' }],
  ['that it could not be made', { repoStatus: 'init_failed' }, { repoStatus: 'init_failed' }],
  ['that it is ready', { repoStatus: 'ready' }, { alerts: { check_failed: AT } }],
])(
  'a report of the repository changes what it contains, and nothing else: %s',
  (_, fields, changed) => {
    const { answer, host } = repoStats(KNOWN, { hostId: KNOWN.hostId, ...fields });
    expect(answer).toBe('recorded');
    expect(host).toEqual({ ...KNOWN, ...changed });
  },
);
