import type { Engine } from './engine.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import type { HostRecord } from './rules/records.ts';

/**
 * Shows the fleet as it is in the database when a control plane starts. Nobody is connected then, so every host is
 * offline as of now: the time in which no control plane ran must not count towards an offline alert.
 * @returns the last change by another process that is shown
 */
export function restoreFleet(engine: Engine, presence: Presence, publisher: Publisher): number {
  const lastChange = engine.transaction(() => {
    const last = engine.lastChange();
    engine.forgetChanges(last);
    engine.forgetConnections(Date.now());
    return last;
  });
  publisher.showAll(withOfflineHostsNoted(engine.hosts(), presence));
  return lastChange;
}

function* withOfflineHostsNoted(
  hosts: Iterable<HostRecord>,
  presence: Presence,
): Iterable<HostRecord> {
  for (const host of hosts) {
    const hasAlert = host.alerts.agent_offline !== undefined;
    if (host.status === 'offline' && !hasAlert) presence.startOffline(host.hostId);
    yield host;
  }
}
