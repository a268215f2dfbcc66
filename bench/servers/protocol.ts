import type { ServerKind } from './serve.ts';

/** The first message to a server process. */
export interface Start {
  readonly kind: ServerKind;
  readonly hosts: number;
  /** For the floor: files with the bodies to serve. */
  readonly bodies?: { readonly identity: string; readonly gzip: string };
}

/** - `change`: changes as many hosts as change between two scrapes of a normal fleet */
export type ServerCommand = 'change';
export type ServerReply = { readonly port: number } | { readonly done: ServerCommand };

/** A contestant that serves. */
export interface Served extends Partial<Record<ServerCommand, () => void | Promise<void>>> {
  readonly port: number;
}
