import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import { shardOf } from '../../src/contract/shard.ts';
import type { EventLog } from '../../src/platform/event-log.ts';
import { FleetReader } from '../../src/shared/fleet-reader.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { Changes } from '../../src/store-thread/changes.ts';
import { Clients } from '../../src/store-thread/clients.ts';
import { Presence } from '../../src/store-thread/presence.ts';
import { Publisher } from '../../src/store-thread/publisher.ts';
import type { HostRecord } from '../../src/store-thread/rules/records.ts';
import { StoreHealth } from '../../src/store-thread/store-health.ts';
import { CopyingReader } from '../support/copying-reader.ts';
import { decodeFleet } from '../support/decode-fleet.ts';
import { ulidOf } from '../support/ulid.ts';
import { AT, OFFLINE } from './rules/record.ts';

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

describe('with the API, of the hosts of three shards', () => {
  const SHARD = { index: 1, count: 3 };
  const [own = '', other = ''] = [1, 0].map((shard) => hostIdOf(shard));

  function hostIdOf(shard: number, from = 0): string {
    for (let n = from; ; n++) if (shardOf(ulidOf(n), SHARD.count) === shard) return ulidOf(n);
  }

  function setUp() {
    const shownIn = { fleet: new FleetTable(undefined, [], SHARD), others: new FleetTable() };
    const defects: unknown[] = [];
    const events = { error: (event: string) => void defects.push(event) };
    const health = new StoreHealth('fleet.db', events as unknown as EventLog, undefined);
    const clients = new Clients();
    const { port1, port2 } = new MessageChannel();
    onTestFinished(() => port1.close());
    clients.add(0, { port: port1, progress: new Int32Array(new SharedArrayBuffer(4)) }, []);
    receiveMessageOnPort(port2); // the tokens
    const publisher = new Publisher(shownIn, new Presence(() => AT), clients, health);
    const shown = (table: FleetTable) => decodeFleet(new CopyingReader(table.buffer).read());
    return {
      defects,
      /** Publishes what a transaction has changed. */
      publish: (fill: (changes: Changes) => void) => {
        const changes = new Changes();
        fill(changes);
        publisher.publish(changes);
      },
      publisher,
      /** What a loop is told next. */
      told: () => receiveMessageOnPort(port2)?.message,
      pending: () => new FleetReader(shownIn.fleet.buffer).pendingHosts,
      /** The hosts of the exposition, and those that only the API shows. */
      shown: () => ({ fleet: shown(shownIn.fleet), others: shown(shownIn.others) }),
    };
  }

  const record = (hostId: string, fields: Partial<HostRecord> = {}): HostRecord => ({
    ...OFFLINE,
    hostId,
    ...fields,
  });

  function connect(changes: Changes, hostId: string, connection: number): void {
    changes.hosts.set(hostId, record(hostId, { status: 'online', connection }));
    changes.appearances.push({ hostId, connection, online: true });
  }

  it.each([
    ['this', own],
    ['another', other],
  ])('one of %s shard is offline at once, although its goodbye cannot be written', (_, hostId) => {
    const { publish, publisher, shown } = setUp();
    publish((changes) => connect(changes, hostId, 7));
    const online = () => {
      const { fleet, others } = shown();
      return [...fleet, ...others].map(({ online }) => online);
    };
    publisher.showUnwrittenGoodbye(hostId, 6);
    expect(online(), 'an earlier connection').toEqual([true]);
    publisher.showUnwrittenGoodbye(hostId, 7);
    expect(online()).toEqual([false]);
  });

  it.each([
    ['this', own],
    ['another', other],
  ])('one of %s shard is in one table: first as pending, then where it belongs', (_, hostId) => {
    const { publish, shown } = setUp();
    publish((changes) => changes.added.push({ hostId, host: 'web' }));
    expect(shown()).toMatchObject({ fleet: [], others: [{ hostId, host: 'web', online: false }] });
    publish((changes) =>
      changes.hosts.set(hostId, record(hostId, { status: 'pending', host: 'www' })),
    );
    expect(shown()).toMatchObject({ fleet: [], others: [{ hostId, host: 'www', online: false }] });
    publish((changes) => connect(changes, hostId, 7));
    const row = [{ hostId, online: true }];
    expect(shown()).toMatchObject(
      hostId === own ? { fleet: row, others: [] } : { fleet: [], others: row },
    );
    publish((changes) => changes.hosts.set(hostId, record(hostId, { host: 'mail' })));
    const renamed = [{ hostId, host: 'mail', online: true }];
    expect(shown()).toMatchObject(
      hostId === own ? { fleet: renamed, others: [] } : { fleet: [], others: renamed },
    );
    publish((changes) => changes.removed.push(hostId));
    expect(shown()).toEqual({ fleet: [], others: [] });
  });

  it('one that is removed is not shown, whatever else the same transaction changed', () => {
    const { publish, shown } = setUp();
    for (const hostId of [own, other]) {
      publish((changes) => changes.added.push({ hostId, host: 'web' }));
      publish((changes) => changes.removed.push(hostId));
      expect(shown(), 'pending').toEqual({ fleet: [], others: [] });
      publish((changes) => {
        changes.added.push({ hostId, host: 'web' });
        connect(changes, hostId, 7);
        changes.removed.push(hostId);
      });
    }
    expect(shown()).toEqual({ fleet: [], others: [] });
  });

  const ELSEWHERE = { status: 'online', isElsewhere: true } as const;

  it.each<[string, (changes: Changes, host: HostRecord) => void]>([
    ['when that is read', (changes, host) => changes.followed.push(host)],
    ['when this one writes it', (changes, host) => changes.hosts.set(host.hostId, host)],
  ])('one that has connected to another instance is disconnected here, %s', (_, add) => {
    for (const hostId of [own, other]) {
      const { publish, publisher, shown, told } = setUp();
      publish((changes) => connect(changes, hostId, 7));
      const changes = new Changes();
      add(changes, record(hostId, ELSEWHERE));
      publisher.publishFollowed(changes, AT);
      expect(told()).toEqual({ disconnect: { connection: 7, reason: 'replaced' } });
      expect(told()).toBeUndefined();
      publisher.showUnwrittenGoodbye(hostId, 7);
      const { fleet, others } = shown();
      expect([...fleet, ...others], 'its late goodbye').toMatchObject([{ hostId, online: true }]);
    }
  });

  it('one that cannot be shown is logged, and the others are shown', () => {
    const { defects, publish, shown } = setUp();
    publish((changes) => {
      changes.added.push({ hostId: 'no ULID', host: 'bad' }, { hostId: own, host: 'web' });
      for (const hostId of ['no ULID, either', other]) changes.hosts.set(hostId, record(hostId));
    });
    expect(
      shown()
        .others.map(({ hostId }) => hostId)
        .sort(),
    ).toEqual([own, other].sort());
    expect(defects).toEqual(['store_defect', 'store_defect']);
  });

  it('those of a start are in their tables, and the pending ones of this shard are counted', () => {
    const { pending: counted, publisher, shown } = setUp();
    const [pendingHere = '', pendingThere = ''] = [1, 0].map((shard) => hostIdOf(shard, 100));
    const pending = (hostId: string) => record(hostId, { status: 'pending' });
    const hosts = [record(own), record(other), pending(pendingHere), pending(pendingThere)];
    expect(publisher.showAll(hosts)).toBe(4);
    expect(counted()).toBe(1);
    const { fleet, others } = shown();
    expect(fleet.map(({ hostId }) => hostId)).toEqual([own]);
    expect(new Set(others.map(({ hostId }) => hostId))).toEqual(
      new Set([other, pendingHere, pendingThere]),
    );
  });
});
