import type { Changes } from '../changes.ts';
import type { HostRecord } from '../rules/records.ts';
import type { HostChange } from './host-changes.ts';

/** What `FollowedChanges` needs of the engine. */
export interface ChangeSource {
  /** Returns a number that changes when another process commits. */
  version(): number;
  changesSince(seq: number): HostChange[];
  lastChange(): number;
  host(hostId: string): HostRecord | undefined;
}

/** Which changes of the commands the control plane has read, published and deleted. */
export class FollowedChanges {
  readonly #source: ChangeSource;
  /** Undefined at first, so that the first call also reads changes made during the start. */
  #version: number | undefined;
  /** Changes up to this `seq` have been read. */
  #lastRead = 0;
  /** Changes up to this `seq` have been deleted from the database. */
  #lastDeleted = 0;

  constructor(source: ChangeSource) {
    this.#source = source;
  }

  /** The hosts are about to be read, with all changes until now. @returns the `seq` of the last of them */
  start(): number {
    this.#version = undefined;
    this.#lastRead = this.#source.lastChange();
    this.#lastDeleted = this.#lastRead;
    return this.#lastRead;
  }

  /** Adds the new changes, if another process has committed anything. */
  follow(changes: Changes): void {
    const version = this.#source.version();
    if (version === this.#version) return;
    const found = this.#source.changesSince(this.#lastRead);
    for (const change of found) this.#add(change, changes);
    this.#lastRead = found.at(-1)?.seq ?? this.#lastRead;
    this.#version = version;
  }

  /** The `seq` up to which changes are to be deleted; undefined if they are. */
  get toDelete(): number | undefined {
    return this.#lastRead === this.#lastDeleted ? undefined : this.#lastRead;
  }

  noteDeleted(seq: number): void {
    this.#lastDeleted = seq;
  }

  #add({ hostId, change, tokenDigest, host: name }: HostChange, changes: Changes): void {
    if (tokenDigest === null || name === null) {
      changes.removed.push(hostId);
    } else if (change === 'renamed') {
      const host = this.#source.host(hostId);
      if (host !== undefined) changes.hosts.set(hostId, host);
    } else {
      if (change === 'added') changes.added.push({ hostId, host: name });
      else changes.tokensReplaced.push(hostId);
      changes.enrolled.push([hostId, tokenDigest]);
    }
  }
}
