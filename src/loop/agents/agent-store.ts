import type { Answer, Disconnect, OperationName, Request } from '../../contract/operations.ts';

/** The part of the store that the agents' endpoint uses. `StoreClient` implements it. */
export interface AgentStore {
  /** Set by the endpoint: called when the store wants a connection of this loop closed. */
  onDisconnect: (disconnect: Disconnect) => void;
  /** Set by the endpoint: called with the ids of hosts whose token is no longer valid. */
  onTokensRevoked: (hostIds: ReadonlySet<string>) => void;
  /** Returns the id of the host whose token has this SHA-256, if this loop knows it. */
  hostOfToken(tokenDigest: Buffer): string | undefined;
  /** Returns the number of a new connection. Its order is higher than that of any earlier one of any loop. */
  numberConnection(): number;
  /**
   * Sends an operation to the store.
   * @returns the answer, after the operation has been committed to disk
   * @throws RmError if the operation could not be stored; nothing was changed then
   */
  submit<N extends OperationName>(name: N, request: Request<N>): Promise<Answer<N>>;
}
