import type { Engine } from './engine.ts';
import type { Presence } from './presence.ts';
import type { Publisher } from './publisher.ts';
import type { HostRecord } from './rules/records.ts';

/**
 * Fills the fleet table from the database when a control plane starts. No agent is connected to it then,
 * so every host whose connection cannot exist is marked offline as of now: the time in which no control
 * plane ran must not count towards an offline alert. Hosts that report by HTTP stay online until they
 * have been silent too long.
 * @returns the number of hosts, including pending ones
 */
export function restoreFleet(engine: Engine, presence: Presence, publisher: Publisher): number {
  engine.startServing();
  return publisher.showAll(withPresence(engine, presence));
}

/**
 * Passes the hosts through. Starts the offline time of those without an offline alert, and the rest of
 * the time in which hosts that report by HTTP may be silent.
 */
function* withPresence(engine: Engine, presence: Presence): Iterable<HostRecord> {
  for (const host of engine.hosts()) {
    presence.restore(host, engine.now());
    yield host;
  }
}
