import type { ServerKind } from './serve.ts';

/** The first message to a server process. */
export interface Start {
  readonly kind: ServerKind;
  readonly hosts: number;
  /** Only for the floor: files with the bodies to serve. */
  readonly bodies?: { readonly identity: string; readonly gzip: string };
  /** Only for ours: whether to time the callbacks of the endpoint. */
  readonly watched?: boolean;
  /** Only for servers that accept agents: the data directory. */
  readonly dataDir?: string;
  /** Only for the control plane: the PostgreSQL to use instead of a database in `dataDir`. */
  readonly databaseUrl?: string;
  /** Only for the control plane: the database has its hosts already. */
  readonly isFilled?: boolean;
}

/**
 * - `change`: makes a percentage of the hosts report another backup
 * - `collect`: collects the garbage of the main thread; all servers support it
 * - `watch`: starts to measure the turns of the loop
 * - `turns`: stops that; the answer is a `LoopReport`
 */
export type ServerCommand = 'change' | 'collect' | 'watch' | 'turns';

export interface Order {
  readonly command: ServerCommand;
  /** Only for `change`: the percentage. */
  readonly value: number;
}

export interface Listening {
  readonly port: number;
  /** Tokens of the agents that may connect. */
  readonly tokens?: readonly string[];
}

export type ServerReply = Listening | { readonly done: ServerCommand; readonly answer: unknown };

/** A contestant that serves HTTP, and the commands that it supports. */
export interface Served
  extends Listening,
    Partial<Record<ServerCommand, (value: number) => unknown>> {}
