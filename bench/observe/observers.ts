import { Registry } from 'prom-client';
import { attachRegistry, type JobKind, type JobStatus } from '../../src/index.ts';
import { openTelemetryHistogram } from '../peers/opentelemetry.ts';
import { promClientHistogram } from '../peers/prom-client.ts';
import { jobTable, TABLE_SIZE } from '../support/jobs.ts';
import { seededRandom } from '../support/random.ts';
import type { Role } from '../support/result.ts';

/** The number of cells of a histogram with 27 series and 10 buckets. */
export const FLOOR_CELLS = 270;

export interface Observer {
  readonly name: string;
  readonly role: Role;
  /** Observes every job of the table once. */
  readonly pass: () => void;
}

/**
 * Returns the observers for the calling thread. Each has its own loop, so that the engine's
 * optimizations for one do not affect another. Each reads its input from arrays that were filled
 * before.
 */
export function observers(memory: {
  readonly registry: SharedArrayBuffer;
  readonly floor: SharedArrayBuffer;
}): Observer[] {
  const table = jobTable();
  const kinds = table.map(({ kind }) => kind);
  const statuses = table.map(({ status }) => status);
  const milliseconds = table.map(({ ms }) => ms);
  const seconds = table.map(({ ms }) => ms / 1000);

  const cells = new Int32Array(memory.floor);
  const random = seededRandom(1);
  const cellOf = Int32Array.from(table, () => Math.floor(random() * FLOOR_CELLS));

  const registry = attachRegistry(memory.registry);
  const handles = table.map(({ kind, status }) => registry.series(kind, status));

  const promClient = promClientHistogram(new Registry());
  const children = new Map(
    table.map(({ kind, status }) => [`${kind} ${status}`, promClient.labels(kind, status)]),
  );
  const childOf = table.map(({ kind, status }) => children.get(`${kind} ${status}`));

  const openTelemetry = openTelemetryHistogram();
  const attributes = new Map(
    table.map(({ kind, status }) => [`${kind} ${status}`, { kind, status }]),
  );
  const attributesOf = table.map(({ kind, status }) => attributes.get(`${kind} ${status}`));

  return [
    {
      name: 'Atomics.add',
      role: 'floor',
      pass: () => {
        for (let i = 0; i < TABLE_SIZE; i++) Atomics.add(cells, cellOf[i] as number, 1);
      },
    },
    {
      name: 'ours, handle',
      role: 'own',
      pass: () => {
        for (let i = 0; i < TABLE_SIZE; i++) handles[i]?.observe(milliseconds[i] as number);
      },
    },
    {
      name: 'ours, strings',
      role: 'own',
      pass: () => {
        for (let i = 0; i < TABLE_SIZE; i++) {
          registry.observeJob(
            kinds[i] as JobKind,
            statuses[i] as JobStatus,
            milliseconds[i] as number,
          );
        }
      },
    },
    {
      name: 'prom-client, child kept',
      role: 'peer',
      pass: () => {
        for (let i = 0; i < TABLE_SIZE; i++) childOf[i]?.observe(seconds[i] as number);
      },
    },
    {
      name: 'prom-client, labels()',
      role: 'peer',
      pass: () => {
        for (let i = 0; i < TABLE_SIZE; i++) {
          promClient
            .labels(kinds[i] as string, statuses[i] as string)
            .observe(seconds[i] as number);
        }
      },
    },
    {
      name: 'OpenTelemetry',
      role: 'peer',
      pass: () => {
        for (let i = 0; i < TABLE_SIZE; i++) {
          openTelemetry.record(seconds[i] as number, attributesOf[i]);
        }
      },
    },
  ];
}
