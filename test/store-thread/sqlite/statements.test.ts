import { expect, it, vi } from 'vitest';
import { openInMemory } from '../../../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../../../src/store-thread/sqlite/engine.ts';
import { AT, StoreRig } from '../store-rig.ts';

/** Statements that read all hosts: at the start, and for `hosts list`. */
const OF_ALL_HOSTS = [
  /^SELECT host_id, token_digest FROM hosts$/,
  /FROM hosts h ORDER BY host_id$/,
  /^UPDATE hosts SET status = 'offline', connection = NULL/,
];

// https://www.sqlite.org/eqp.html
it('only statements about all hosts read a whole table', () => {
  vi.useFakeTimers({ now: AT });
  const db = openInMemory();
  const prepared = vi.spyOn(db, 'prepare');
  const engine = new SqliteEngine(db, undefined, { serves: false, onForgottenJobs: () => {} });
  const rig = new StoreRig(engine);
  const hostId = rig.online('web');
  const connection = rig.hello(hostId);
  const job = { hostId, jobId: 'one', kind: 'init', startedAtMs: AT } as const;
  const end = { ...job, finishedAtMs: AT + 1 };
  rig.submit('startJob', job);
  rig.submit('finishJob', { ...end, status: 'failed' });
  rig.submit('finishJob', { ...end, jobId: 'two', status: 'succeeded' });
  rig.submit('goodbye', { hostId, connection });
  rig.submit('renameHost', { hostId, host: 'www' });
  rig.submit('replaceToken', { hostId });
  rig.submit('authenticate', { tokenDigest: Buffer.from('none') });
  rig.submit('showHost', { hostId });
  rig.submit('removeHost', { hostId });
  rig.submit('areHostChangesApplied', null);
  engine.changesSince(0);
  engine.forgetChanges(1);
  engine.forgetJobs(AT);
  vi.advanceTimersByTime(1_000);

  const statements = new Set(prepared.mock.calls.map(([sql]) => sql.trim()));
  const scanning = [...statements].filter((sql) => {
    if (!/^(SELECT|UPDATE|DELETE|INSERT)/.test(sql)) return false;
    const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all();
    return plan.some(({ detail }) =>
      /^SCAN (?!CONSTANT ROW|clock|sqlite_sequence)/.test(String(detail)),
    );
  });
  const isAllowed = (sql: string) => OF_ALL_HOSTS.some((allowed) => allowed.test(sql));
  expect(scanning.filter((sql) => !isAllowed(sql))).toEqual([]);
  expect(scanning).toHaveLength(OF_ALL_HOSTS.length);
  expect(statements.size).toBeGreaterThan(20);
  rig.close();
  engine.close();
  vi.useRealTimers();
});
