import type { Engine } from './engine.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import { allowedSilenceMs } from './rules/connections.ts';
import type { HostRecord } from './rules/records.ts';

export interface RestoredFleet {
  /** Number of hosts, including pending ones. */
  readonly hosts: number;
  /** `seq` of the last change by another process that the fleet table includes. */
  readonly lastChange: number;
}

/**
 * Fills the fleet table from the database when a control plane starts. No agent is connected then, so
 * every host is marked offline as of now: the time in which no control plane ran must not count
 * towards an offline alert. Hosts that report by HTTP stay online until they have been silent too long.
 */
export function restoreFleet(
  engine: Engine,
  presence: Presence,
  publisher: Publisher,
): RestoredFleet {
  const lastChange = engine.transaction(() => {
    const last = engine.lastChange();
    engine.forgetChanges(last);
    engine.forgetConnections(Date.now());
    return last;
  });
  const hosts = publisher.showAll(withPresence(engine.hosts(), presence));
  return { hosts, lastChange };
}

/**
 * Passes the hosts through. Starts the offline time of those without an offline alert, and the rest of
 * the time in which hosts that report by HTTP may be silent.
 */
function* withPresence(hosts: Iterable<HostRecord>, presence: Presence): Iterable<HostRecord> {
  for (const host of hosts) {
    const hasAlert = host.alerts.agent_offline !== undefined;
    if (host.status === 'offline' && !hasAlert) presence.startOffline(host.hostId);
    if (host.reportedAtMs !== undefined) {
      // If the system clock was set back since the report, the silence counts as zero.
      const silentMs = Math.max(0, Date.now() - host.reportedAtMs);
      presence.keepOnline(host.hostId, allowedSilenceMs(host) - silentMs);
    }
    yield host;
  }
}
