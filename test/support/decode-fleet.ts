import { type Host, REPO_STATUSES } from '../../src/contract/host.ts';
import {
  ALERTS_CRITICAL,
  ALERTS_INFO,
  ALERTS_WARNING,
  BACKUP_ADDED_BYTES,
  BACKUP_DURATION_MS,
  BACKUP_INTERVAL_SECONDS,
  BACKUP_SUCCESS_MS,
  CHECK_SUCCESS_MS,
  FLAG_BACKUP_SUCCEEDED,
  FLAG_HAS_BACKUP,
  FLAG_HAS_REPO_SIZE,
  FLAG_ONLINE,
  FLAG_REPORTS_BY_HTTP,
  FLAGS,
  LAST_BACKUP_MS,
  REPO_SIZE,
  REPO_STATUS_SHIFT,
  SNAPSHOTS,
} from '../../src/shared/fleet-layout.ts';
import type { PageCopy } from '../../src/shared/fleet-reader.ts';

/** A host with all defaults filled in, so that two hosts can be compared. */
export interface ShownHost {
  readonly hostId: string;
  readonly host: string;
  readonly online: boolean;
  readonly reportsByHttp: boolean;
  readonly lastBackup: { finishedAtMs: number; succeeded: boolean } | 'none';
  readonly backupDurationMs: number | 'unknown';
  readonly backupSuccessMs: number | 'unknown';
  readonly backupAddedBytes: number | 'unknown';
  readonly backupIntervalSeconds: number | 'unknown';
  readonly checkSuccessMs: number | 'unknown';
  /** Its further labels, as written. */
  readonly info: string;
  readonly repoSizeBytes: number | 'unknown';
  readonly repoStatus: string;
  readonly snapshotCount: number;
  readonly openAlerts: { critical: number; info: number; warning: number };
}

/** What the exposition must show about `host`. */
export function shown(host: Host): ShownHost {
  const { lastBackup } = host;
  const escaped = (text = '') => text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n');
  return {
    hostId: host.hostId,
    host: host.host,
    online: host.online,
    reportsByHttp: host.reportsByHttp ?? false,
    lastBackup: lastBackup
      ? { finishedAtMs: lastBackup.finishedAtMs, succeeded: lastBackup.succeeded }
      : 'none',
    backupDurationMs: lastBackup?.durationMs ?? 'unknown',
    backupSuccessMs:
      host.lastBackupSuccessMs ?? (lastBackup?.succeeded ? lastBackup.finishedAtMs : 'unknown'),
    backupAddedBytes: host.lastBackupAddedBytes ?? 'unknown',
    backupIntervalSeconds: host.backupIntervalSeconds ?? 'unknown',
    checkSuccessMs: host.lastCheckSuccessMs ?? 'unknown',
    info: `,agent_version="${escaped(host.agentVersion)}",restic_version="${escaped(host.resticVersion)}",os="${escaped(host.os)}",arch="${escaped(host.arch)}"`,
    repoSizeBytes: host.repoSizeBytes ?? 'unknown',
    repoStatus: host.repoStatus ?? 'unknown',
    snapshotCount: host.snapshotCount ?? 0,
    openAlerts: { critical: 0, info: 0, warning: 0, ...host.openAlerts },
  };
}

/** Decodes the rows of a reading, in its order, in the simplest way. */
export function decodeFleet(pages: readonly PageCopy[]): ShownHost[] {
  return pages.flatMap(({ page, text, labelEnds, textEnds }) =>
    Array.from({ length: page.rowCount }, (_, row) => {
      const [start, labelEnd, end] = [
        textEnds[row - 1] ?? 0,
        labelEnds[row] ?? 0,
        textEnds[row] ?? 0,
      ];
      const textOf = (from: number, to: number) =>
        Buffer.from(text.buffer, text.byteOffset + from, to - from).toString();
      const labels = textOf(start, labelEnd);
      const known = (column: number) => {
        const value = page.detail(column, row);
        return Number.isNaN(value) ? 'unknown' : value;
      };
      const flags = page.word(FLAGS, row);
      const has = (flag: number) => (flags & flag) !== 0;
      return {
        ...decodeLabels(labels),
        online: has(FLAG_ONLINE),
        reportsByHttp: has(FLAG_REPORTS_BY_HTTP),
        lastBackup: has(FLAG_HAS_BACKUP)
          ? {
              finishedAtMs: page.double(LAST_BACKUP_MS, row),
              succeeded: has(FLAG_BACKUP_SUCCEEDED),
            }
          : 'none',
        backupDurationMs: known(BACKUP_DURATION_MS),
        backupSuccessMs: known(BACKUP_SUCCESS_MS),
        backupAddedBytes: known(BACKUP_ADDED_BYTES),
        backupIntervalSeconds: known(BACKUP_INTERVAL_SECONDS),
        checkSuccessMs: known(CHECK_SUCCESS_MS),
        info: textOf(labelEnd, end),
        repoSizeBytes: has(FLAG_HAS_REPO_SIZE) ? page.double(REPO_SIZE, row) : 'unknown',
        repoStatus: REPO_STATUSES[flags >> REPO_STATUS_SHIFT] ?? `status ${flags}`,
        snapshotCount: page.double(SNAPSHOTS, row),
        openAlerts: {
          critical: page.word(ALERTS_CRITICAL, row),
          info: page.word(ALERTS_INFO, row),
          warning: page.word(ALERTS_WARNING, row),
        },
      };
    }),
  );
}

function decodeLabels(labels: string): { hostId: string; host: string } {
  const match = /^host_id="([0-9A-Z]{26})",host="((?:[^"\\\n]|\\["\\n])*)"$/.exec(labels);
  const [, hostId, host] = match ?? [];
  // Torn text must fail the test that reads it, and not crash this helper.
  if (hostId === undefined || host === undefined) return { hostId: 'unreadable', host: labels };
  return {
    hostId,
    host: host.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped)),
  };
}
