import { serveWithout } from './ours.ts';
import type { Served, Start } from './protocol.ts';

/** Everything about hosts that is not among the first seven families. */
const EXCLUDED = [
  'rm_host_backup_interval_seconds',
  'rm_host_info',
  'rm_host_last_backup_added_bytes',
  'rm_host_last_backup_duration_seconds',
  'rm_host_last_backup_success_timestamp_seconds',
  'rm_host_last_check_success_timestamp_seconds',
  'rm_hosts_pending',
];

/** Ours with `exclude`, which shows what it saves. */
export function serve(start: Start): Promise<Served> {
  return serveWithout(EXCLUDED, start);
}
