import { afterAll } from 'vitest';
import { NO_POSTGRES, PostgresServer } from './postgres-server.ts';

export { NO_POSTGRES, PostgresServer } from './postgres-server.ts';

if (NO_POSTGRES !== undefined) console.warn(`skipped: ${NO_POSTGRES}`);

/** Starts one server for all tests of a file. */
export async function postgresForAll(settings: readonly string[] = []): Promise<PostgresServer> {
  const server = await PostgresServer.start(settings);
  afterAll(() => server.remove());
  return server;
}
