import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Administration } from '../../../src/store-thread/administration.ts';
import { Changes } from '../../../src/store-thread/changes.ts';
import type { Engine } from '../../../src/store-thread/engine.ts';
import { SqliteEngine } from '../../../src/store-thread/sqlite/engine.ts';
import { temporaryDirectory } from '../../support/serve.ts';
import { AT, StoreRig } from '../store-rig.ts';

/** The store looks 20 times a second. */
const A_POLL_MS = 60;

let rig: StoreRig;
let served: Engine;
let command: Engine;
let administration: Administration;

beforeEach(() => {
  const dataDir = temporaryDirectory();
  const onForgottenJobs = () => {};
  served = SqliteEngine.open(dataDir, { serves: true, onForgottenJobs });
  vi.useFakeTimers({ now: AT });
  rig = new StoreRig(served);
  // As the command line does it, in another process.
  command = SqliteEngine.open(dataDir, { serves: false, onForgottenJobs });
  administration = new Administration(command);
  rig.received();
});

afterEach(() => {
  rig.close();
  vi.useRealTimers();
  command.close();
  served.close();
});

/** Does some of it in one transaction of the other process. */
function elsewhere(work: (changes: Changes) => void): void {
  command.transaction(() => work(new Changes()));
}

function add(host: string): string {
  const added = administration.apply<'addHosts'>(['addHosts', { hosts: [host] }], new Changes());
  return added[0]?.hostId ?? '';
}

it('a host that another process adds is pending, and its token is told to the loops', () => {
  let hostId = '';
  elsewhere(() => {
    hostId = add('web');
  });
  expect(administration.apply(['areHostChangesApplied', null], new Changes())).toBe(false);
  vi.advanceTimersByTime(A_POLL_MS);
  expect(rig.pending).toBe(1);
  expect(rig.received()).toEqual([
    { tokenChanges: { removed: [], added: [[hostId, expect.any(Uint8Array)]] } },
  ]);
  expect(administration.apply(['areHostChangesApplied', null], new Changes())).toBe(true);
});

it('a host that is added and given another token at once is pending, too', () => {
  elsewhere(() => {
    administration.apply(['replaceToken', { hostId: add('web') }], new Changes());
  });
  vi.advanceTimersByTime(A_POLL_MS);
  expect(rig.pending).toBe(1);
});

it('a host that is added and removed at once leaves neither a token nor a count', () => {
  elsewhere(() => {
    administration.apply(['removeHost', { hostId: add('web') }], new Changes());
  });
  vi.advanceTimersByTime(A_POLL_MS);
  expect(rig.pending).toBe(0);
  for (const message of rig.received()) {
    expect(message).toMatchObject({ tokenChanges: { added: [] } });
  }
});

it('a host that is renamed or removed is shown so, and its agent is disconnected', () => {
  const hostId = rig.online('web');
  expect(rig.pending).toBe(0);
  rig.received();
  elsewhere((changes) => administration.apply(['renameHost', { hostId, host: 'www' }], changes));
  vi.advanceTimersByTime(A_POLL_MS);
  expect(rig.shown).toMatchObject([{ host: 'www', online: true }]);
  elsewhere((changes) => administration.apply(['removeHost', { hostId }], changes));
  vi.advanceTimersByTime(A_POLL_MS);
  expect(rig.shown).toEqual([]);
  expect(rig.received()).toContainEqual({
    disconnect: { connection: expect.any(Number), reason: 'removed' },
  });
});

it('several hosts that change at once are all shown, and the command waits no longer', () => {
  const hosts = ['a', 'b', 'c'].map((host) => ({ host, hostId: rig.online(host) }));
  elsewhere((changes) => {
    for (const { host, hostId } of hosts.toReversed()) {
      administration.apply(['renameHost', { hostId, host: `new-${host}` }], changes);
    }
  });
  vi.advanceTimersByTime(A_POLL_MS);
  expect(rig.shown.map(({ host }) => host)).toEqual(['new-a', 'new-b', 'new-c']);
  expect(administration.apply(['areHostChangesApplied', null], new Changes())).toBe(true);
});

it('a token that another process replaced is good no more, and its agent is disconnected', () => {
  const hostId = rig.enrol('web');
  const connection = rig.hello(hostId);
  rig.received();
  elsewhere((changes) => administration.apply(['replaceToken', { hostId }], changes));
  vi.advanceTimersByTime(A_POLL_MS);
  expect(rig.received()).toEqual([
    { tokenChanges: { removed: [hostId], added: [[hostId, expect.any(Uint8Array)]] } },
    { disconnect: { connection, reason: 'token_replaced' } },
  ]);
});

it('what another process changed is confirmed as soon as that process has no lock any more', () => {
  elsewhere(() => add('web'));
  command.transaction(() => {
    vi.advanceTimersByTime(A_POLL_MS);
    expect(rig.pending).toBe(1);
  });
  vi.advanceTimersByTime(A_POLL_MS);
  expect(administration.apply(['areHostChangesApplied', null], new Changes())).toBe(true);
});

it('while no other process changes anything, its changes are not looked for', () => {
  vi.advanceTimersByTime(A_POLL_MS);
  const reads = vi.spyOn(served as SqliteEngine, 'changesSince');
  rig.enrol('web');
  vi.advanceTimersByTime(1_000);
  expect(reads).not.toHaveBeenCalled();
});

it('a lock of another process does not block the store, which shows at once that an agent has left', () => {
  const hostId = rig.enrol('web');
  const connection = rig.hello(hostId);
  rig.received();
  command.transaction(() => {
    const startedAt = vi.getRealSystemTime();
    expect(rig.submitAll([['goodbye', { hostId, connection }]])).toEqual([]);
    // With a wait for the lock it would take as long as SQLite's time limit: 5 s.
    expect(vi.getRealSystemTime() - startedAt).toBeLessThan(3_000);
    expect(rig.host('web')?.online).toBe(false);
  });
});

it('a lock of another process is no failure of the database', () => {
  command.transaction(() => vi.advanceTimersByTime(1_000));
  expect(rig.logged).toEqual([]);
});
