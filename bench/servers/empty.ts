import { uws } from '../../src/platform/uws.ts';
import { mountEcho } from './echo.ts';
import { listen } from './listen.ts';
import type { Served } from './protocol.ts';

/** What the runtime and uWS take before anybody adds anything. */
export async function serve(): Promise<Served> {
  const app = uws().App();
  mountEcho(app);
  return { port: await listen(app) };
}
