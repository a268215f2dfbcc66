import { afterAll } from 'vitest';
import { PostgresServer } from './postgres-server.ts';

export { NO_POSTGRES, PostgresServer } from './postgres-server.ts';

/** Starts one server for all tests of a file. */
export async function postgresForAll(settings: readonly string[] = []): Promise<PostgresServer> {
  const server = await PostgresServer.start(settings);
  afterAll(() => server.remove());
  return server;
}
