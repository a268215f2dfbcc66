import type { Request } from '../../contract/operations.ts';
import type { Decision, HostRecord } from './records.ts';

/** What the report leaves out stays as it is. */
export function repoStats(
  host: HostRecord,
  { totalSizeBytes, snapshotCount, repoStatus }: Request<'repoStats'>,
): Decision<'recorded'> {
  return {
    answer: 'recorded',
    host: {
      ...host,
      repoSizeBytes: totalSizeBytes ?? host.repoSizeBytes,
      snapshotCount: snapshotCount ?? host.snapshotCount,
      repoStatus: repoStatus ?? host.repoStatus,
    },
  };
}
