import type { Engine } from './engine.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import type { HostRecord } from './rules/records.ts';

/**
 * Fills the fleet table from the database when a control plane starts. No agent is connected then, so
 * every host is marked offline as of now: the time in which no control plane ran must not count
 * towards an offline alert.
 * @returns `seq` of the last change by another process that the fleet table includes
 */
export function restoreFleet(engine: Engine, presence: Presence, publisher: Publisher): number {
  const lastChange = engine.transaction(() => {
    const last = engine.lastChange();
    engine.forgetChanges(last);
    engine.forgetConnections(Date.now());
    return last;
  });
  publisher.showAll(withOfflineTimersStarted(engine.hosts(), presence));
  return lastChange;
}

/** Passes the hosts through, and starts the offline time of those without an offline alert. */
function* withOfflineTimersStarted(
  hosts: Iterable<HostRecord>,
  presence: Presence,
): Iterable<HostRecord> {
  for (const host of hosts) {
    const hasAlert = host.alerts.agent_offline !== undefined;
    if (host.status === 'offline' && !hasAlert) presence.startOffline(host.hostId);
    yield host;
  }
}
