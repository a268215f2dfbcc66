import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Order, ServerReply, Start } from './protocol.ts';

/*
 * Runs a contestant as a process of its own. It gets its data over IPC and answers with its port.
 * Each kind of server is imported only when it is used, so that no process contains the library of
 * another.
 */
const KINDS = {
  empty: () => import('./empty.ts'),
  floor: () => import('./floor.ts'),
  ours: () => import('./ours.ts'),
  'ours, fewer families': () => import('./ours-fewer-families.ts'),
  'prom-client': () => import('./prom-client.ts'),
  'prom-client on the loop': () => import('./prom-client-on-the-loop.ts'),
  OpenTelemetry: () => import('./opentelemetry.ts'),
  acknowledging: () => import('./acknowledging.ts'),
  'agents without a store': () => import('./agents-without-store.ts'),
  'control plane': () => import('./control-plane.ts'),
};

export type ServerKind = keyof typeof KINDS;

const reply = (message: ServerReply) => process.send?.(message);

process.once('message', async (start: Start) => {
  const { serve } = await KINDS[start.kind]();
  const { port, tokens, ...commands } = await serve(start);
  process.on('message', async ({ command, value }: Order) => {
    if (command === 'collect') collectGarbage();
    reply({ done: command, answer: await commands[command]?.(value) });
  });
  collectGarbage();
  reply({ port, ...(tokens && { tokens }) });
});
process.on('disconnect', () => process.exit());

/**
 * Collects the garbage of loading the data, which must neither count as memory of the contestant
 * nor be collected during a measurement.
 */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')({ type: 'major', flavor: 'last-resort' });
}
