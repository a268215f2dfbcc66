import { readFileSync } from 'node:fs';
import { type HttpResponse, uws } from '../../src/platform/uws.ts';
import { mountEcho } from './echo.ts';
import { listen } from './listen.ts';
import { LoopWatch } from './loop-watch.ts';
import type { Served, Start } from './protocol.ts';

/**
 * Sends the same bytes from memory in the fastest way of uWebSockets.js: all at once, and the rest
 * when the socket has room.
 */
export async function serve({ bodies }: Start): Promise<Served> {
  if (bodies === undefined) throw new Error('the floor needs bodies to serve');
  const identity = readFileSync(bodies.identity);
  const gzip = readFileSync(bodies.gzip);
  const watch = new LoopWatch();
  const app = uws().App();
  mountEcho(app);
  app.get('/metrics', (res, req) => {
    const compressed = req.getHeader('accept-encoding') === 'gzip';
    res.onAborted(() => {});
    res.writeHeader('Content-Type', 'text/plain; version=0.0.4; charset=utf-8');
    if (compressed) res.writeHeader('Content-Encoding', 'gzip');
    send(res, compressed ? gzip : identity);
  });
  return { port: await listen(app), watch: () => watch.start(), turns: () => watch.stop() };
}

function send(res: HttpResponse, body: Buffer): void {
  const [, done] = res.tryEnd(body, body.length);
  if (done) return;
  res.onWritable((offset) => res.tryEnd(body.subarray(offset), body.length)[0]);
}
