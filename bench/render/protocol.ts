import type { Role } from '../support/result.ts';
import type { Encoding } from '../support/scraper.ts';

/** One way to make a body. */
export interface RenderTask {
  readonly name: string;
  readonly role: Role;
  readonly encoding: Encoding;
  /** Before each render, not measured. */
  readonly prepare?: () => void | Promise<void>;
  /** Measured. */
  readonly render: () => unknown;
  /** What comes of it, as bytes. */
  readonly body: () => Uint8Array | Promise<Uint8Array>;
}

export type RenderKind = 'ours' | 'prom-client' | 'OpenTelemetry';

/** What a thread that renders is started with. The first three are those of our own render thread. */
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

/** Asks for one render of the task with that number: how long it takes, or what comes of it. */
export type RenderQuestion = { readonly time: number } | { readonly body: number };

export type ListedTask = Pick<RenderTask, 'name' | 'role' | 'encoding'>;
