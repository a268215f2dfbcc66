import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, onTestFinished } from 'vitest';
import { PostgresServer } from './postgres-server.ts';

export { NO_POSTGRES, PostgresServer } from './postgres-server.ts';

/** Starts one server for all tests of a file. */
export async function postgresForAll(settings: readonly string[] = []): Promise<PostgresServer> {
  const server = await PostgresServer.start(settings);
  afterAll(() => server.remove());
  return server;
}

/** Lasts until another process waits for a lock of this transaction. */
const UNTIL_WAITED_FOR = `DO $$ BEGIN
  FOR n IN 1..4000 LOOP
    EXIT WHEN EXISTS (SELECT FROM pg_locks
      WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)));
    PERFORM pg_sleep(0.01);
  END LOOP; END $$;`;

/**
 * Another client of the database. In one transaction it runs `first`, waits until another process waits for its locks, and
 * runs `last`.
 * @returns once `first` was run. `exit` becomes the exit code of psql, which is 0 if all succeeded.
 */
export async function lockUntilWaitedFor(
  url: string,
  first: string,
  last = '',
): Promise<{ readonly exit: Promise<number | null> }> {
  const psql = spawn('psql', ['--no-psqlrc', '-qAt', '-v', 'ON_ERROR_STOP=1', url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void psql.kill('SIGKILL'));
  const exit = new Promise<number | null>((resolve) => psql.once('close', resolve));
  psql.stdin.end(`BEGIN; ${first}; SELECT 'locked'; ${UNTIL_WAITED_FOR} ${last}; COMMIT;\n`);
  await Promise.race([once(psql.stdout, 'data'), exit]);
  psql.stdout.resume();
  return { exit };
}
