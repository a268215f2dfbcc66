import type { Role } from '../support/result.ts';
import type { Encoding } from '../support/scraper.ts';

/** A task: one way to produce a body. */
export interface RenderTask {
  readonly name: string;
  readonly role: Role;
  readonly encoding: Encoding;
  /** Runs before each render and is not measured. */
  readonly prepare?: () => void | Promise<void>;
  /** Renders. This is measured. */
  readonly render: () => unknown;
  /** The bytes of the body. */
  readonly body: () => Uint8Array | Promise<Uint8Array>;
}

export type RenderKind = 'ours' | 'prom-client' | 'OpenTelemetry';

/** Worker data of a rendering thread. The first three are those of our own render thread. */
export interface RenderBenchData {
  readonly fleet: SharedArrayBuffer;
  readonly jobs: SharedArrayBuffer;
  readonly build: {
    readonly version: string;
    readonly commit: string;
    readonly nodeVersion: string;
  };
  readonly kind: RenderKind;
  readonly hosts: number;
}

/** Requests one render of the task with that number. The answer is the duration, or the body. */
export type RenderQuestion = { readonly time: number } | { readonly body: number };

export type ListedTask = Pick<RenderTask, 'name' | 'role' | 'encoding'>;
