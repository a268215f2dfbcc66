import { RmError } from '../errors.ts';

/** The states of a host's repository, as `rm_host_repo_status` shows them. */
export const REPO_STATUSES = ['unknown', 'ready', 'init_failed'] as const;
export type RepoStatus = (typeof REPO_STATUSES)[number];

/** Severities of alerts, sorted as in the exposition. */
export const SEVERITIES = ['critical', 'info', 'warning'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** What the exposition shows of one host. What is left out takes the default named with it. */
export interface Host {
  /** ULID, upper case: 26 characters of Crockford's base 32. Label `host_id`; the rows sort by it. */
  readonly hostId: string;
  /** Label `host`: 1 to 255 characters, any script; escaped in the exposition as the format demands. */
  readonly host: string;
  readonly online: boolean;
  /** Default: never backed up, no row. */
  readonly lastBackup?: {
    /** Unix time at which it finished, in whole milliseconds. */
    readonly finishedAtMs: number;
    readonly succeeded: boolean;
  };
  /** Default: unknown, no row. */
  readonly repoSizeBytes?: number;
  /** Default: `unknown`. */
  readonly repoStatus?: RepoStatus;
  /** Default: 0. */
  readonly snapshotCount?: number;
  /** Open alerts by severity. Default: none. */
  readonly openAlerts?: Readonly<Partial<Record<Severity, number>>>;
}

/** https://github.com/ulid/spec: 26 characters; the first at most 7, since 128 bits fit. */
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

export function isUlid(value: unknown): value is string {
  return typeof value === 'string' && ULID.test(value);
}

/** @throws RmError `invalid_host` naming the field */
export function checkHost(host: Host): void {
  if (typeof host !== 'object' || host === null) {
    throw new RmError('invalid_host', `host: must be an object, not ${host}`);
  }
  if (!isUlid(host.hostId)) {
    throw invalid('hostId', 'a ULID of 26 upper-case characters', host.hostId);
  }
  if (typeof host.host !== 'string' || host.host === '' || tooLong(host.host)) {
    throw invalid('host', 'a string of 1 to 255 characters', host.host);
  }
  if (typeof host.online !== 'boolean') throw invalid('online', 'true or false', host.online);
  if (host.lastBackup !== undefined) {
    if (typeof host.lastBackup !== 'object' || host.lastBackup === null) {
      throw invalid('lastBackup', 'an object, or left out', host.lastBackup);
    }
    const { finishedAtMs, succeeded } = host.lastBackup;
    if (!Number.isSafeInteger(finishedAtMs)) {
      throw invalid('lastBackup.finishedAtMs', 'whole milliseconds', finishedAtMs);
    }
    if (typeof succeeded !== 'boolean') {
      throw invalid('lastBackup.succeeded', 'true or false', succeeded);
    }
  }
  checkCount('repoSizeBytes', host.repoSizeBytes, Number.MAX_SAFE_INTEGER);
  checkCount('snapshotCount', host.snapshotCount, Number.MAX_SAFE_INTEGER);
  if (host.repoStatus !== undefined && !REPO_STATUSES.includes(host.repoStatus)) {
    throw invalid('repoStatus', `one of ${REPO_STATUSES.join(', ')}`, host.repoStatus);
  }
  for (const severity of SEVERITIES) {
    checkCount(`openAlerts.${severity}`, host.openAlerts?.[severity], 2 ** 31 - 1);
  }
}

function tooLong(name: string): boolean {
  return name.length > 255 && [...name].length > 255;
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
