import type { Answer, Disconnect, OperationName, Request } from '../../contract/operations.ts';

/** What the agents' endpoint needs of the store. `StoreClient` is the one that stores. */
export interface AgentStore {
  /** Set by the endpoint: called when the store wants a connection of this loop closed. */
  onDisconnect: (disconnect: Disconnect) => void;
  /** Set by the endpoint: called with the ids of hosts whose token is no longer valid. */
  onRevoked: (hostIds: ReadonlySet<string>) => void;
  /** @returns the host whose token has this SHA-256, if this loop knows it */
  hostOfToken(tokenDigest: Buffer): string | undefined;
  /** @returns the number of a new connection, which is newer than all others of all loops */
  numberConnection(): number;
  /**
   * @returns the answer, once what it says is on disk
   * @throws RmError if the operation could not be stored; nothing was changed then
   */
  submit<N extends OperationName>(name: N, request: Request<N>): Promise<Answer<N>>;
}
