import type { OpenAlert } from '../contract/host-details.ts';
import type { ReportedJob } from '../contract/last-jobs.ts';

/** What only the database knows about a host. */
export interface HostHistory {
  readonly alerts: readonly OpenAlert[];
  /** The last jobs, newest first. */
  readonly jobs: readonly ReportedJob[];
}

/** Reads of the query thread from the database, on a connection of its own that cannot write. */
export interface Reads {
  /**
   * Number of unfinished jobs by kind.
   * @throws RmError `api_failed`, `api_too_late`
   */
  running(): Promise<ReadonlyMap<string, number>>;
  /**
   * A host that does not exist has no history.
   * @throws RmError `api_failed`, `api_too_late`
   */
  history(hostId: string): Promise<HostHistory>;
  close(): Promise<void>;
}
