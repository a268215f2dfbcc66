import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { Changes } from '../../src/store-thread/changes.ts';
import { FleetDatabase } from '../../src/store-thread/sqlite/fleet-database.ts';
import { MIGRATIONS } from '../../src/store-thread/sqlite/schema.ts';

function rig() {
  const db = new DatabaseSync(':memory:');
  for (const migration of MIGRATIONS) db.exec(migration);
  db.exec('PRAGMA foreign_keys = ON');
  const options = { tellsServer: true, isServed: () => true, onForgottenJobs: () => {} };
  return new FleetDatabase(db, options);
}

describe('the alert of a host that is offline', () => {
  it('is not opened for a host that another process has just removed', () => {
    const database = rig();
    const [web] = database.enrolment.add(['web'], new Changes());
    const changes = new Changes();
    database.alertOffline([web?.hostId ?? '', '01J8ZQ4X3N0000000000000000'], changes);
    expect([...changes.rows]).toEqual([web?.hostId]);
  });
});

describe('two connections of a host', () => {
  const agent = { agentVersion: '1', hostname: 'web' };
  const LOOP = 2 ** 40;

  it('leave it to the newer one, whichever says hello first', () => {
    const database = rig();
    const changes = new Changes();
    const [web] = database.enrolment.add(['web'], changes);
    const hostId = web?.hostId ?? '';
    const older = 2 * LOOP + 7;
    const newer = LOOP + 8;
    const hello = (connection: number) =>
      database.handlers.hello({ hostId, connection, agent }, changes);
    expect(hello(newer)).toEqual({ host: 'web' });
    expect(hello(older)).toEqual({ host: 'web' });
    database.handlers.goodbye({ hostId, connection: older }, changes);
    expect(database.handlers.listHosts(null, changes)).toMatchObject([{ status: 'online' }]);
    database.handlers.goodbye({ hostId, connection: newer }, changes);
    expect(database.handlers.listHosts(null, changes)).toMatchObject([{ status: 'offline' }]);
  });
});

describe('changes of the hosts', () => {
  it('are told until they are forgotten, in their order', () => {
    const database = rig();
    const { enrolment } = database;
    const changes = new Changes();
    const [a, b] = enrolment.add(['a', 'b'], changes);
    enrolment.rename(a?.hostId ?? '', 'c', changes);
    enrolment.replaceToken(b?.hostId ?? '', changes);
    enrolment.remove(b?.hostId ?? '', changes);
    expect(database.handlers.isFollowed(null, changes)).toBe(false);
    const found = enrolment.changesSince(0);
    expect(found.map(({ change }) => change)).toEqual([
      'added',
      'added',
      'renamed',
      'token',
      'removed',
    ]);
    expect(found.filter(({ tokenDigest }) => tokenDigest === null)).toHaveLength(3);
    enrolment.forgetChanges(found.at(-1)?.seq ?? 0);
    expect(database.handlers.isFollowed(null, changes)).toBe(true);
    expect(enrolment.lastChange(), 'numbers are not used again').toBe(5);
  });
});
