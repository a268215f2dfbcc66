import { RmError } from '../errors.ts';
import { hostNameError, labelError } from './host-name.ts';

/** The states of the repository of a host, as `rm_host_repo_status` shows them. */
export const REPO_STATUSES = ['unknown', 'ready', 'init_failed'] as const;
export type RepoStatus = (typeof REPO_STATUSES)[number];

/** Severities of alerts, in the order of the exposition. */
export const SEVERITIES = ['critical', 'info', 'warning'] as const;
export type Severity = (typeof SEVERITIES)[number];

/**
 * What the exposition shows about one host. Each optional field names its default.
 *
 * @example
 * ```ts
 * const host: Host = {
 *   hostId: '01JD8Z5N3V9Q4R7T2W6X8Y0A1B',
 *   host: 'web-1.example.com',
 *   online: true,
 *   lastBackup: {
 *     finishedAtMs: Date.parse('2025-11-20T10:00:03.500Z'),
 *     succeeded: true,
 *     durationMs: 93_500,
 *   },
 *   backupIntervalSeconds: 86_400,
 *   agentVersion: '1.4.0',
 *   resticVersion: '0.18.1',
 *   repoSizeBytes: 73_014_444_032,
 *   repoStatus: 'ready',
 *   snapshotCount: 42,
 *   openAlerts: { warning: 1 },
 * };
 * ```
 */
export interface Host {
  /**
   * A ULID in upper case: 26 characters of Crockford's base 32. It is the label `host_id`, and rows
   * are sorted by it.
   */
  readonly hostId: string;
  /**
   * 1 to 255 characters of any script. No control characters, no characters that change the direction of text, no lone
   * surrogates, and not only white space. It is the label `host`, escaped as the format requires.
   */
  readonly host: string;
  /** Whether the agent of the host is connected, or reports by HTTP often enough. */
  readonly online: boolean;
  /** Whether the host is online without a connection, because it reports by HTTP. Default: false. */
  readonly reportsByHttp?: boolean | undefined;
  /** The last finished backup. Default: never backed up, so there is no row. */
  readonly lastBackup?:
    | {
        /** Unix time at which the backup finished, in whole milliseconds. */
        readonly finishedAtMs: number;
        readonly succeeded: boolean;
        /** How long it took, in whole milliseconds. Default: unknown, so there is no row. */
        readonly durationMs?: number | undefined;
      }
    | undefined;
  /**
   * Unix time at which the last successful backup finished, in whole milliseconds. Default: `lastBackup`, if that one
   * succeeded, or else unknown, so there is no row.
   */
  readonly lastBackupSuccessMs?: number | undefined;
  /** Bytes that the last backup added to the repository. Default: unknown, so there is no row. */
  readonly lastBackupAddedBytes?: number | undefined;
  /** Unix time at which the last successful check finished, in whole milliseconds. Default: none, so no row. */
  readonly lastCheckSuccessMs?: number | undefined;
  /** The planned time between two backups, in seconds. Default: unknown, so there is no row. */
  readonly backupIntervalSeconds?: number | undefined;
  /** Size of the repository in bytes, a whole number. Default: unknown, so there is no row. */
  readonly repoSizeBytes?: number | undefined;
  /** State of the repository. Default: `unknown`. */
  readonly repoStatus?: RepoStatus | undefined;
  /** Number of snapshots in the repository. Default: 0. */
  readonly snapshotCount?: number | undefined;
  /** Number of open alerts by severity, each at most 2^31 - 1. Default: none. */
  readonly openAlerts?: Readonly<Partial<Record<Severity, number>>>;
  /** Labels of `rm_host_info`, each at most 255 characters and safe like `host`. Default: empty. */
  readonly agentVersion?: string | undefined;
  readonly resticVersion?: string | undefined;
  readonly os?: string | undefined;
  readonly arch?: string | undefined;
}

/** The fields of a host that are labels of `rm_host_info`, in the order of the labels. */
export const INFO_FIELDS = ['agentVersion', 'resticVersion', 'os', 'arch'] as const;

/** https://github.com/ulid/spec: 26 characters. The first is at most 7, because a ULID has 128 bits. */
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

export function isUlid(value: unknown): value is string {
  return typeof value === 'string' && ULID.test(value);
}

/**
 * Checks every field of a host, because embedders may call from JavaScript.
 * @throws RmError `invalid_host` naming the field
 */
export function checkHost(host: Host): void {
  if (typeof host !== 'object' || host === null) {
    throw new RmError('invalid_host', `host: must be an object, not ${host}`);
  }
  if (!isUlid(host.hostId)) {
    throw invalid('hostId', 'a ULID of 26 upper-case characters', host.hostId);
  }
  if (typeof host.host !== 'string') throw invalid('host', 'a string', host.host);
  checkText('host', host.host, hostNameError);
  if (typeof host.online !== 'boolean') throw invalid('online', 'true or false', host.online);
  if (host.reportsByHttp !== undefined && typeof host.reportsByHttp !== 'boolean') {
    throw invalid('reportsByHttp', 'true or false', host.reportsByHttp);
  }
  if (host.lastBackup !== undefined) {
    if (typeof host.lastBackup !== 'object' || host.lastBackup === null) {
      throw invalid('lastBackup', 'an object, or left out', host.lastBackup);
    }
    const { finishedAtMs, succeeded, durationMs } = host.lastBackup;
    if (finishedAtMs === undefined) {
      throw invalid('lastBackup.finishedAtMs', 'whole milliseconds', finishedAtMs);
    }
    checkTime('lastBackup.finishedAtMs', finishedAtMs);
    checkCount('lastBackup.durationMs', durationMs, Number.MAX_SAFE_INTEGER);
    if (typeof succeeded !== 'boolean') {
      throw invalid('lastBackup.succeeded', 'true or false', succeeded);
    }
  }
  checkTime('lastBackupSuccessMs', host.lastBackupSuccessMs);
  checkTime('lastCheckSuccessMs', host.lastCheckSuccessMs);
  checkCount('lastBackupAddedBytes', host.lastBackupAddedBytes, Number.MAX_SAFE_INTEGER);
  checkCount('backupIntervalSeconds', host.backupIntervalSeconds, Number.MAX_SAFE_INTEGER);
  checkCount('repoSizeBytes', host.repoSizeBytes, Number.MAX_SAFE_INTEGER);
  checkCount('snapshotCount', host.snapshotCount, Number.MAX_SAFE_INTEGER);
  if (host.repoStatus !== undefined && !REPO_STATUSES.includes(host.repoStatus)) {
    throw invalid('repoStatus', `one of ${REPO_STATUSES.join(', ')}`, host.repoStatus);
  }
  for (const severity of SEVERITIES) {
    checkCount(`openAlerts.${severity}`, host.openAlerts?.[severity], 2 ** 31 - 1);
  }
  for (const field of INFO_FIELDS) {
    const text = host[field];
    if (text === undefined) continue;
    if (typeof text !== 'string') throw invalid(field, 'a string', text);
    checkText(field, text, labelError);
  }
}

function checkText(
  field: string,
  text: string,
  errorOf: (text: string) => string | undefined,
): void {
  const error = errorOf(text);
  if (error !== undefined) throw new RmError('invalid_host', `host.${field}: ${error}`);
}

function checkTime(field: string, ms: number | undefined): void {
  if (ms !== undefined && !Number.isSafeInteger(ms)) throw invalid(field, 'whole milliseconds', ms);
}

function checkCount(field: string, value: number | undefined, max: number): void {
  if (value === undefined) return;
  if (!Number.isSafeInteger(value) || value < 0 || value > max) {
    throw invalid(field, `a whole number from 0 to ${max}`, value);
  }
}

function invalid(field: string, expected: string, got: unknown): RmError {
  const shown = (typeof got === 'string' ? JSON.stringify(got) : String(got)).slice(0, 80);
  return new RmError('invalid_host', `host.${field}: must be ${expected}, not ${shown}`);
}
