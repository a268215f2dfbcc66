import { afterAll } from 'vitest';
import { WHOLE_FLEET } from '../../../src/contract/shard.ts';
import { PostgresEngine } from '../../../src/store-thread/postgres/engine.ts';
import { Session } from '../../../src/store-thread/postgres/session.ts';
import { NO_POSTGRES, postgresForAll } from '../../support/postgres.ts';
import { unless } from '../../support/programs.ts';
import { describeStore } from '../contract.cases.ts';

/** No other instance writes here, and hours of polls would take minutes. */
const NEVER = 2 ** 31 - 1;

unless(NO_POSTGRES).describe('on a server', async () => {
  if (NO_POSTGRES !== '') return;
  const server = await postgresForAll(['fsync=off', 'full_page_writes=off']);
  const url = server.createDatabase();

  const engine = PostgresEngine.open(url, {
    serves: { shard: WHOLE_FLEET, onSharedShard: () => {} },
    onForgottenJobs: () => {},
    now: () => Date.now(),
    followEveryMs: NEVER,
  });
  const session = new Session([url]);
  afterAll(() => {
    session.close();
    engine.close();
  });

  describeStore('PostgreSQL', () => {
    // Not by psql: this process has reserved too much memory to start others.
    session.run('TRUNCATE hosts, tokens, jobs, clock, host_changes');
    // One connection for all tests: to make a new one for each would take most of the time.
    return new Proxy(engine, {
      get: (target, name) => (name === 'close' ? () => {} : boundTo(target, name)),
    });
  });
});

/** A method of an object with private fields must be called on the object itself. */
function boundTo(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name);
  return typeof value === 'function' ? value.bind(target) : value;
}
