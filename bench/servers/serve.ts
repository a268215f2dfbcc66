import type { ServerCommand, ServerReply, Start } from './protocol.ts';

/*
 * A contestant as a process of its own: told over IPC what to load, it answers with its port. Each kind
 * is loaded only where it is wanted, so that no process holds another's library.
 */
const KINDS = {
  floor: () => import('./floor.ts'),
  ours: () => import('./ours.ts'),
  'prom-client': () => import('./prom-client.ts'),
  OpenTelemetry: () => import('./opentelemetry.ts'),
};

export type ServerKind = keyof typeof KINDS;

const reply = (message: ServerReply) => process.send?.(message);

process.once('message', async (start: Start) => {
  const { serve } = await KINDS[start.kind]();
  const served = await serve(start);
  process.on('message', async (command: ServerCommand) => {
    await served[command]?.();
    reply({ done: command });
  });
  reply({ port: served.port });
});
process.on('disconnect', () => process.exit());
