import type { EnrolledHost } from '../contract/operations.ts';
import type { HostRecord } from './rules/records.ts';

/** A connection by which a host came online or went offline. */
export interface Appearance {
  readonly hostId: string;
  readonly connection: number;
  readonly online: boolean;
}

/** A new host. */
export interface AddedHost {
  readonly hostId: string;
  readonly host: string;
}

/**
 * What one transaction changed. The operations fill it. The publisher shows it after the commit. If
 * the transaction fails, it is discarded.
 */
export class Changes {
  /** The new records of hosts whose rows in the exposition may have changed. */
  readonly hosts = new Map<string, HostRecord>();
  /** New hosts, which are pending. */
  readonly added: AddedHost[] = [];
  /** Hosts with a new token: new hosts, and hosts whose token was replaced. */
  readonly enrolled: EnrolledHost[] = [];
  readonly removed: string[] = [];
  readonly tokensReplaced: string[] = [];
  /** In the order of the operations. */
  readonly appearances: Appearance[] = [];
  /** The records of hosts that other processes changed. */
  readonly followed: HostRecord[] = [];
  /** Hosts that have sent messages by HTTP. */
  readonly seen = new Set<string>();
  /** Hosts that are no longer online by messages over HTTP. */
  readonly silent = new Set<string>();

  get areNone(): boolean {
    const { hosts, added, enrolled, removed, tokensReplaced, followed } = this;
    return hosts.size === 0 && [added, enrolled, removed, tokensReplaced, followed].every(isEmpty);
  }

  /** Adds the changes of one part of the transaction. */
  add(part: Changes): void {
    const { hosts, added, enrolled, removed, tokensReplaced, appearances } = part;
    for (const [hostId, host] of hosts) this.hosts.set(hostId, host);
    // Not `push(...added)`: a call takes some 100,000 arguments, and as many hosts may be added at once.
    for (const host of added) this.added.push(host);
    for (const host of enrolled) this.enrolled.push(host);
    for (const hostId of removed) this.removed.push(hostId);
    for (const hostId of tokensReplaced) this.tokensReplaced.push(hostId);
    for (const appearance of appearances) this.appearances.push(appearance);
    for (const host of part.followed) this.followed.push(host);
    for (const hostId of part.seen) this.seen.add(hostId);
    for (const hostId of part.silent) this.silent.add(hostId);
  }
}

function isEmpty({ length }: readonly unknown[]): boolean {
  return length === 0;
}
