import type { ServerKind } from './serve.ts';

/** The first message to a server process. */
export interface Start {
  readonly kind: ServerKind;
  readonly hosts: number;
  /** For the floor: files with the bodies to serve. */
  readonly bodies?: { readonly identity: string; readonly gzip: string };
  /** For ours: whether the callbacks of the endpoint are to be timed. */
  readonly watched?: boolean;
  /** For those that take agents: where to keep things. */
  readonly dataDir?: string;
}

/**
 * - `change`: has a percentage of the hosts report another backup
 * - `collect`: has the main thread collect its garbage; known by all
 * - `watch`: measures the turns of the loop from now on
 * - `turns`: ends that; answered with a `LoopReport`
 */
export type ServerCommand = 'change' | 'collect' | 'watch' | 'turns';

export interface Order {
  readonly command: ServerCommand;
  /** For `change`: the percentage. */
  readonly value: number;
}

export interface Listening {
  readonly port: number;
  /** Of the agents that may connect. */
  readonly tokens?: readonly string[];
}

export type ServerReply = Listening | { readonly done: ServerCommand; readonly answer: unknown };

/** A contestant that serves, and the commands that it knows. */
export interface Served
  extends Listening,
    Partial<Record<ServerCommand, (value: number) => unknown>> {}
