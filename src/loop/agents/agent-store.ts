import type {
  Answer,
  Disconnect,
  FinishedJob,
  OperationName,
  Request,
} from '../../contract/operations.ts';

/** The part of the store that the agents' endpoint uses. `StoreClient` implements it. */
export interface AgentStore {
  /** Set by the endpoint: called when the store wants a connection of this loop closed. */
  onDisconnect: (disconnect: Disconnect) => void;
  /** Set by the endpoint: called with the ids of hosts whose token is no longer valid. */
  onTokensRevoked: (hostIds: ReadonlySet<string>) => void;
  /** Set by the endpoint: called with jobs to observe whose agents have already got an answer. */
  onFinished: (finished: readonly FinishedJob[]) => void;
  /** Returns the id of the host whose token has this SHA-256, if this loop knows it. */
  hostOfToken(tokenDigest: Buffer): string | undefined;
  /** Returns the number of a new connection. Its order is higher than that of any earlier one of any loop. */
  numberConnection(): number;
  /**
   * Sends an operation to the store, at the end of this turn of the loop.
   * @returns the answer. An operation that changes something is on disk by then.
   * @throws RmError if the operation could not be stored
   */
  submit<N extends OperationName>(name: N, request: Request<N>): Promise<Answer<N>>;
}
