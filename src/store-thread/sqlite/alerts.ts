import type { Severity } from '../../contract/host.ts';
import type { Changes } from '../changes.ts';
import { OFFLINE_ALERT } from '../rules/alert-rules.ts';
import type { Statements } from './statements.ts';

/** The open alerts of hosts, one a kind. */
export class Alerts {
  readonly #statements: Statements;

  constructor(statements: Statements) {
    this.#statements = statements;
  }

  /** Nothing if the host has one of that kind. */
  open(hostId: string, kind: string, severity: Severity, at: number, changes: Changes): void {
    this.#statements.run(
      `INSERT INTO alerts (host_id, kind, severity, opened_at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      hostId,
      kind,
      severity,
      at,
    );
    changes.rows.add(hostId);
  }

  resolve(hostId: string, kind: string, changes: Changes): void {
    this.#statements.run('DELETE FROM alerts WHERE host_id = ? AND kind = ?', hostId, kind);
    changes.rows.add(hostId);
  }

  /** Nothing for a host that another process has just removed. */
  openOffline(hostIds: readonly string[], changes: Changes): void {
    const { alert, severity } = OFFLINE_ALERT;
    for (const hostId of hostIds) {
      const opened = this.#statements.run(
        `INSERT INTO alerts (host_id, kind, severity, opened_at)
         SELECT host_id, ?, ?, ? FROM hosts WHERE host_id = ? ON CONFLICT DO NOTHING`,
        alert,
        severity,
        Date.now(),
        hostId,
      );
      if (opened > 0) changes.rows.add(hostId);
    }
  }
}
