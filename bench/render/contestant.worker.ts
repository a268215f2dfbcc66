import { parentPort, workerData } from 'node:worker_threads';
import type {
  ListedTask,
  RenderBenchData,
  RenderKind,
  RenderQuestion,
  RenderTask,
} from './protocol.ts';

/*
 * Runs a contestant in its own thread, so that garbage of one contestant does not slow down
 * another.
 */
const KINDS: Record<
  RenderKind,
  () => Promise<{ tasks(data: RenderBenchData): Promise<RenderTask[]> }>
> = {
  ours: () => import('./ours.ts'),
  'prom-client': () => import('./prom-client.ts'),
  OpenTelemetry: () => import('./opentelemetry.ts'),
};

const data: RenderBenchData = workerData;
const { tasks } = await KINDS[data.kind]();
const own = await tasks(data);

parentPort?.on('message', async (question: RenderQuestion) => {
  const task = own['time' in question ? question.time : question.body];
  if (task === undefined) throw new Error('no such task');
  await task.prepare?.();
  if ('body' in question) return parentPort?.postMessage(Uint8Array.from(await task.body()));
  const startedAt = performance.now();
  await task.render();
  parentPort?.postMessage(performance.now() - startedAt);
});
parentPort?.postMessage(
  own.map(({ name, role, encoding }): ListedTask => ({ name, role, encoding })),
);
