import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Operation } from '../../src/contract/operations.ts';
import { Administration, type AdministrationName } from '../../src/store-thread/administration.ts';
import { Changes } from '../../src/store-thread/changes.ts';
import { applyReports } from '../../src/store-thread/reports.ts';
import { openInMemory } from '../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../src/store-thread/sqlite/engine.ts';
import { ulidOf } from '../support/ulid.ts';

/** That of a command, while no control plane runs. */
let engine: SqliteEngine;
let administration: Administration;
let changes: Changes;

beforeEach(() => {
  engine = new SqliteEngine(openInMemory(), undefined, {
    serves: false,
    onForgottenJobs: () => {},
  });
  administration = new Administration(engine);
  changes = new Changes();
});

afterEach(() => engine.close());

function apply<N extends AdministrationName>(...operation: Operation<N>) {
  return administration.apply<N>(operation, changes);
}

const add = (...hosts: string[]) => apply<'addHosts'>('addHosts', { hosts });
const sha256 = (token: string) => createHash('sha256').update(token).digest();

describe('hosts that are added', () => {
  it('together are listed in their order', () => {
    const names = Array.from({ length: 100 }, (_, n) => `host-${n}`);
    add(...names);
    expect(apply<'listHosts'>('listHosts', null).map(({ host }) => host)).toEqual(names);
  });

  it('have different tokens of 256 bits that a secret scanner finds, and that are known by their SHA-256', () => {
    const added = add('a', 'b');
    expect(new Set(added.map(({ token }) => token)).size).toBe(2);
    for (const { hostId, token } of added) {
      expect(token).toMatch(/^rmh_[A-Za-z0-9_-]{43}$/);
      expect(apply<'authenticate'>('authenticate', { tokenDigest: sha256(token) })).toBe(hostId);
    }
    expect(changes.enrolled).toEqual(added.map(({ hostId, token }) => [hostId, sha256(token)]));
  });

  it.each(['', 'a\nb', 'x'.repeat(256)])(
    'with a name that is not allowed are refused: %j',
    (name) => {
      const refused = expect.objectContaining({ code: 'invalid_host' });
      expect(() => add('good', name)).toThrow(refused);
      expect(apply<'listHosts'>('listHosts', null)).toEqual([]);
      const [{ hostId = '' } = {}] = add('good');
      expect(() => apply<'renameHost'>('renameHost', { hostId, host: name })).toThrow(refused);
      expect(apply<'listHosts'>('listHosts', null)).toMatchObject([{ host: 'good' }]);
    },
  );
});

it('a token that is replaced is good no more', () => {
  const [{ hostId = '', token: old = '' } = {}] = add('web');
  const replaced = apply<'replaceToken'>('replaceToken', { hostId });
  expect(replaced?.host).toBe('web');
  const hostOf = (token = '') =>
    apply<'authenticate'>('authenticate', { tokenDigest: sha256(token) });
  expect(hostOf(old)).toBeUndefined();
  expect(hostOf(replaced?.token)).toBe(hostId);
});

it('of a host that there is not nothing changes', () => {
  const hostId = ulidOf(1);
  expect(apply<'replaceToken'>('replaceToken', { hostId })).toBeUndefined();
  expect(apply<'renameHost'>('renameHost', { hostId, host: 'web' })).toBe(false);
  expect(apply<'removeHost'>('removeHost', { hostId })).toBe(false);
  expect(apply<'showHost'>('showHost', { hostId })).toBeUndefined();
  expect(changes.areNone).toBe(true);
  expect(engine.changesSince(0)).toEqual([]);
});

it('a host that was connected when its control plane was killed is listed and shown as offline', () => {
  const [{ hostId = '' } = {}] = add('web');
  const agent = { agentVersion: '1', hostname: 'web' };
  applyReports(engine, [['hello', { hostId, connection: 1, agent }]], new Changes());
  expect(engine.host(hostId)?.status).toBe('online');
  expect(apply<'listHosts'>('listHosts', null)).toMatchObject([{ status: 'offline' }]);
  expect(apply<'showHost'>('showHost', { hostId })).toMatchObject({ status: 'offline' });
});

it('a command does not wait for a control plane that does not run', () => {
  add('web');
  expect(apply<'areHostChangesApplied'>('areHostChangesApplied', null)).toBe(true);
});
