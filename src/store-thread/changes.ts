import type { EnrolledHost } from '../contract/operations.ts';
import type { HostRecord } from './rules/records.ts';

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
  /** Hosts whose row in the exposition may read otherwise than before, as they are now. */
  readonly hosts = new Map<string, HostRecord>();
  /** Hosts with a token that is new: new hosts, and hosts whose token was replaced. */
  readonly enrolled: EnrolledHost[] = [];
  readonly removed: string[] = [];
  readonly tokensReplaced: string[] = [];
  /** In the order of the operations. */
  readonly appearances: Appearance[] = [];

  /** Takes over what a part of the transaction has changed. */
  add({ hosts, enrolled, removed, tokensReplaced, appearances }: Changes): void {
    for (const [hostId, host] of hosts) this.hosts.set(hostId, host);
    this.enrolled.push(...enrolled);
    this.removed.push(...removed);
    this.tokensReplaced.push(...tokensReplaced);
    this.appearances.push(...appearances);
  }
}
