import type { HostState } from './host-state.ts';

/*
 * The messages between the loops and the query thread, which answers the requests of the API.
 */

/** A request of the API, with checked parameters. */
export type Query =
  | { readonly name: 'fleet' }
  | ({ readonly name: 'hosts' } & HostsQuery)
  | { readonly name: 'host'; readonly hostId: string };

export interface HostsQuery {
  /** States to show; empty means all. */
  readonly states: readonly HostState[];
  /** A part of the names to show, see `searchable`; empty means all. */
  readonly search: string;
  readonly limit: number;
  /** The last host of the previous page; undefined for the first page. */
  readonly after: HostPosition | undefined;
}

/** The place of a host in the list: hosts are sorted by these in turn. */
export interface HostPosition {
  /** Index in `HOST_STATES`. */
  readonly rank: number;
  readonly host: string;
  readonly hostId: string;
}

export const MAX_LIMIT = 500;
export const DEFAULT_LIMIT = 100;
/** Maximum length of a search, in characters: that of the name of a host. */
export const MAX_SEARCH = 255;

/** How long one read of the database may take. */
export const READ_LIMIT_MS = 2_000;
/** How long the query thread may take for an answer. Then it is replaced. */
export const ANSWER_LIMIT_MS = 5_000;

/** Why a request has no answer. */
export type QueryFailureCode = 'no_such_host' | 'api_failed' | 'api_too_late' | 'too_many_requests';

/** JSON in UTF-8, or a failure. `message` and `lacks` may contain internals: they are for the log. */
export type QueryAnswer =
  | {
      readonly json: Uint8Array<ArrayBuffer>;
      /** Why a part of the answer is null; undefined if nothing failed. */
      readonly lacks?: string | undefined;
    }
  | { readonly failed: QueryFailureCode; readonly message: string };

/** A message to the query thread. */
export type QueryRequest =
  | { readonly id: number; readonly query: Query }
  | { readonly close: true };

/** A message of the query thread. */
export interface QueryReply {
  readonly id: number;
  readonly answer: QueryAnswer;
}

/** The form of a text in which a search is compared with a name: neither case nor encoding matters. */
export function searchable(text: string): string {
  return text.normalize('NFC').toLowerCase();
}

export function encodeCursor({ rank, host, hostId }: HostPosition): string {
  return Buffer.from(JSON.stringify([rank, hostId, host])).toString('base64url');
}

/** @returns undefined if it is not the result of `encodeCursor` */
export function decodeCursor(cursor: string): HostPosition | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (!Array.isArray(value)) return undefined;
    const [rank, hostId, host] = value as unknown[];
    if (typeof rank !== 'number' || typeof hostId !== 'string' || typeof host !== 'string') {
      return undefined;
    }
    const position = { rank, host, hostId };
    return encodeCursor(position) === cursor ? position : undefined;
  } catch {
    return undefined;
  }
}
