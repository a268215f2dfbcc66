import { ALERT_SEVERITIES, type AlertKind } from '../../contract/alert-kinds.ts';
import type { HostRecord, Times } from '../rules/records.ts';
import type { Statements } from './statements.ts';

const NONE: Times<never> = {};

/** The tables `alerts`, which contains the open alerts, and `last_finishes`. */
export class Alerts {
  readonly #statements: Statements;

  constructor(statements: Statements) {
    this.#statements = statements;
  }

  update(before: HostRecord | undefined, after: HostRecord): void {
    this.#updateAlerts(after.hostId, before?.alerts ?? NONE, after.alerts);
    this.#updateFinishes(after.hostId, before?.lastFinishes ?? NONE, after.lastFinishes);
  }

  #updateAlerts(hostId: string, before: Times<AlertKind>, after: Times<AlertKind>): void {
    if (before === after) return;
    for (const [kind, openedAtMs] of entries(after)) {
      if (before[kind] !== undefined) continue;
      this.#statements.run(
        'INSERT INTO alerts (host_id, kind, severity, opened_at) VALUES (?, ?, ?, ?)',
        hostId,
        kind,
        ALERT_SEVERITIES[kind],
        openedAtMs,
      );
    }
    for (const [kind] of entries(before)) {
      if (after[kind] !== undefined) continue;
      this.#statements.run('DELETE FROM alerts WHERE host_id = ? AND kind = ?', hostId, kind);
    }
  }

  #updateFinishes(hostId: string, before: Times<string>, after: Times<string>): void {
    if (before === after) return;
    for (const [kind, finishedAtMs] of entries(after)) {
      if (before[kind] === finishedAtMs) continue;
      this.#statements.run(
        `INSERT INTO last_finishes (host_id, kind, finished_at) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET finished_at = excluded.finished_at`,
        hostId,
        kind,
        finishedAtMs,
      );
    }
    for (const [kind] of entries(before)) {
      if (after[kind] !== undefined) continue;
      const sql = 'DELETE FROM last_finishes WHERE host_id = ? AND kind = ?';
      this.#statements.run(sql, hostId, kind);
    }
  }
}

function entries<Name extends string>(times: Times<Name>): [Name, number][] {
  return Object.entries(times) as [Name, number][];
}
