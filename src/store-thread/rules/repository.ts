import type { Request } from '../../contract/operations.ts';
import { repositoryIsReady } from './finished-jobs.ts';
import type { Decision, HostRecord } from './records.ts';

/** Updates the fields that the report contains. */
export function repoStats(
  host: HostRecord,
  { totalSizeBytes, snapshotCount, repoStatus }: Request<'repoStats'>,
): Decision<'recorded'> {
  const reported = {
    ...host,
    repoSizeBytes: totalSizeBytes ?? host.repoSizeBytes,
    snapshotCount: snapshotCount ?? host.snapshotCount,
    repoStatus: repoStatus ?? host.repoStatus,
  };
  return {
    answer: 'recorded',
    host: repoStatus === 'ready' ? repositoryIsReady(reported) : reported,
  };
}
