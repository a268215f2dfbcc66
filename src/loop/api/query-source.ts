import type { Query, QueryAnswer } from '../../contract/queries.ts';

/** Where an endpoint gets answers from: the `QueryThread` of its own thread, or `RemoteQueries`. */
export interface QuerySource {
  /** Never rejects. */
  ask(query: Query): Promise<QueryAnswer>;
}
