import { type Host, REPO_STATUSES } from '../contract/host.ts';
import { HOST_FAMILIES } from './families.ts';
import {
  ALERTS_CRITICAL,
  ALERTS_INFO,
  ALERTS_WARNING,
  API_BITS,
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
  PAGE_ROWS,
  type Page,
  REPO_SIZE,
  REPO_STATUS_SHIFT,
  SNAPSHOTS,
} from './fleet-layout.ts';

/** What the exposition shows of one row: by family, its value and the index of its last label. */
interface RowOutput {
  readonly values: Float64Array;
  readonly labels: Int8Array;
}

const newRowOutput = (): RowOutput => ({
  values: new Float64Array(HOST_FAMILIES.length),
  labels: new Int8Array(HOST_FAMILIES.length),
});
const before = newRowOutput();
const after = newRowOutput();
const pageValues = new Float64Array(PAGE_ROWS);

function evaluateRow(page: Page, row: number, { values, labels }: RowOutput): void {
  for (const [index, family] of HOST_FAMILIES.entries()) {
    family.evaluate(page, row, row + 1, pageValues);
    values[index] = pageValues[row] as number;
    labels[index] = family.lastLabel?.pick(page, row) ?? 0;
  }
}

/** Runs `change` and marks the families whose exposition of the row is different afterwards. */
export function markChangedFamilies(page: Page, row: number, change: () => void): void {
  evaluateRow(page, row, before);
  change();
  evaluateRow(page, row, after);
  for (let family = 0; family < HOST_FAMILIES.length; family++) {
    // `Object.is`, because NaN (no row) must equal NaN.
    const same = Object.is(before.values[family], after.values[family]);
    if (!same || before.labels[family] !== after.labels[family]) page.markFamily(family);
  }
}

/**
 * Compares the row with `host` and, if `write` is set, stores `host` in it.
 * @param apiBits see `API_BITS`
 * @returns whether the row was different before
 */
export function writeRow(
  page: Page,
  row: number,
  host: Host,
  apiBits: number,
  write: boolean,
): boolean {
  const { lastBackup, repoSizeBytes, openAlerts } = host;
  const lastBackupIfGood = lastBackup?.succeeded ? lastBackup.finishedAtMs : undefined;
  const flags =
    (host.online ? FLAG_ONLINE : 0) |
    (host.reportsByHttp ? FLAG_REPORTS_BY_HTTP : 0) |
    (lastBackup ? FLAG_HAS_BACKUP : 0) |
    (lastBackup?.succeeded ? FLAG_BACKUP_SUCCEEDED : 0) |
    (repoSizeBytes === undefined ? 0 : FLAG_HAS_REPO_SIZE) |
    (REPO_STATUSES.indexOf(host.repoStatus ?? 'unknown') << REPO_STATUS_SHIFT);
  let changed = false;
  const word = (column: number, value: number) => {
    if (page.word(column, row) !== value) changed = true;
    if (write) page.setWord(column, row, value);
  };
  const double = (column: number, value: number) => {
    if (page.double(column, row) !== value) changed = true;
    if (write) page.setDouble(column, row, value);
  };
  const detail = (column: number, value: number) => {
    if (page.details === undefined) return;
    // `Object.is`, because NaN (no row) must equal NaN.
    if (!Object.is(page.detail(column, row), value)) changed = true;
    if (write) page.setDetail(column, row, value);
  };
  word(FLAGS, flags);
  word(API_BITS, apiBits);
  word(ALERTS_CRITICAL, openAlerts?.critical ?? 0);
  word(ALERTS_INFO, openAlerts?.info ?? 0);
  word(ALERTS_WARNING, openAlerts?.warning ?? 0);
  double(LAST_BACKUP_MS, lastBackup?.finishedAtMs ?? 0);
  double(REPO_SIZE, repoSizeBytes ?? 0);
  double(SNAPSHOTS, host.snapshotCount ?? 0);
  detail(BACKUP_INTERVAL_SECONDS, host.backupIntervalSeconds ?? Number.NaN);
  detail(BACKUP_ADDED_BYTES, host.lastBackupAddedBytes ?? Number.NaN);
  detail(BACKUP_DURATION_MS, lastBackup?.durationMs ?? Number.NaN);
  detail(BACKUP_SUCCESS_MS, host.lastBackupSuccessMs ?? lastBackupIfGood ?? Number.NaN);
  detail(CHECK_SUCCESS_MS, host.lastCheckSuccessMs ?? Number.NaN);
  return changed;
}
