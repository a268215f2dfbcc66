import type { EnrolledHost } from '../contract/operations.ts';

/** A host that came or went, by which connection. */
export interface Appearance {
  readonly hostId: string;
  readonly connection: number;
  readonly online: boolean;
}

/**
 * What one transaction changed. The operations fill it, and it is published once the transaction is on disk; it
 * is thrown away if that fails.
 */
export class Changes {
  /** Hosts whose row in the exposition may read otherwise than before. */
  readonly rows = new Set<string>();
  /** Hosts with a token that is new: new hosts, and hosts whose token was replaced. */
  readonly enrolled: EnrolledHost[] = [];
  readonly removed: string[] = [];
  readonly tokensReplaced: string[] = [];
  /** In the order of the operations. */
  readonly appearances: Appearance[] = [];
}
