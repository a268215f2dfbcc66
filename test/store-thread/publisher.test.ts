import { expect, it } from 'vitest';
import { shardOf } from '../../src/contract/shard.ts';
import { FleetReader } from '../../src/shared/fleet-reader.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { Changes } from '../../src/store-thread/changes.ts';
import { Clients } from '../../src/store-thread/clients.ts';
import { Presence } from '../../src/store-thread/presence.ts';
import { Publisher } from '../../src/store-thread/publisher.ts';
import { StoreHealth } from '../../src/store-thread/store-health.ts';
import { ulidOf } from '../support/ulid.ts';

it('of the hosts that have never connected an instance counts those of its shard', () => {
  const fleet = new FleetTable(undefined, [], { index: 1, count: 3 });
  const health = new StoreHealth('fleet.db', undefined, undefined);
  const shownIn = { fleet, others: undefined };
  const publisher = new Publisher(shownIn, new Presence(() => Date.now()), new Clients(), health);
  const hostIds = Array.from({ length: 30 }, (_, n) => ulidOf(n));
  const own = hostIds.filter((hostId) => shardOf(hostId, 3) === 1);
  const changes = new Changes();
  changes.added.push(...hostIds.map((hostId) => ({ hostId, host: 'web' })));
  publisher.publish(changes);
  const pending = () => new FleetReader(fleet.buffer).pendingHosts;
  expect(own.length).toBeGreaterThan(0);
  expect(pending()).toBe(own.length);
  const later = new Changes();
  later.removed.push(...hostIds);
  publisher.publish(later);
  expect(pending()).toBe(0);
});
