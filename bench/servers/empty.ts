import { uws } from '../../src/platform/uws.ts';
import { mountEcho } from './echo.ts';
import { listen } from './listen.ts';
import type { Served } from './protocol.ts';

/** A server that does nothing: the memory of the runtime and of uWebSockets.js alone. */
export async function serve(): Promise<Served> {
  const app = uws().App();
  mountEcho(app);
  return { port: await listen(app) };
}
