import type { Severity } from '../metrics/host.ts';
import { OFFLINE_ALERT, OFFLINE_ALERT_AFTER_MS } from './alert-rules.ts';
import type { Statements } from './statements.ts';

/** The open alerts of hosts, one a kind. */
export class Alerts {
  readonly #statements: Statements;
  readonly #touched: Set<string>;

  /** @param touched is told of the hosts that have other alerts than before */
  constructor(statements: Statements, touched: Set<string>) {
    this.#statements = statements;
    this.#touched = touched;
  }

  /** Nothing if the host has one of that kind. */
  open(hostId: string, kind: string, severity: Severity, at: number): void {
    this.#statements.run(
      `INSERT INTO alerts (host_id, kind, severity, opened_at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      hostId,
      kind,
      severity,
      at,
    );
    this.#touched.add(hostId);
  }

  resolve(hostId: string, kind: string): void {
    this.#statements.run('DELETE FROM alerts WHERE host_id = ? AND kind = ?', hostId, kind);
    this.#touched.add(hostId);
  }

  /** Opens one for each host that has been offline for too long since between the two times. */
  openOffline(afterMs: number, untilMs: number): void {
    const hosts = this.#statements.all<[hostId: string]>(
      `SELECT host_id FROM hosts
       WHERE status = 'offline' AND offline_since > ? AND offline_since <= ?`,
      afterMs - OFFLINE_ALERT_AFTER_MS,
      untilMs - OFFLINE_ALERT_AFTER_MS,
    );
    for (const [hostId] of hosts) {
      this.open(hostId, OFFLINE_ALERT.alert, OFFLINE_ALERT.severity, untilMs);
    }
  }
}
