import { createHash, randomBytes } from 'node:crypto';
import { monotonicFactory } from 'ulid';
import type { HostDetails } from '../contract/host-details.ts';
import { checkHostName, checkHostNames } from '../contract/host-name.ts';
import type { Answer, Operation, Request } from '../contract/operations.ts';
import type { Changes } from './changes.ts';
import type { Engine } from './engine.ts';
import { Named } from './rows.ts';
import { hostDetails, listedHost } from './rules/views.ts';

/** The operations of the `hosts` commands, and the token lookup of the loops. */
export type AdministrationName =
  | 'addHosts'
  | 'removeHost'
  | 'replaceToken'
  | 'renameHost'
  | 'listHosts'
  | 'showHost'
  | 'areHostChangesApplied'
  | 'authenticate';

type Handlers = {
  readonly [N in AdministrationName]: (request: Request<N>, changes: Changes) => Answer<N>;
};

/** Hosts that are added together are listed in this order, because lists are sorted by id. */
const nextHostId = monotonicFactory();

/**
 * Enrols, renames, removes and lists hosts, and replaces their tokens. The database stores only the
 * SHA-256 of a token.
 */
export class Administration {
  readonly #engine: Engine;
  readonly #handlers: Handlers;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#handlers = {
      addHosts: ({ hosts }, changes) => this.#add(hosts, changes),
      removeHost: ({ hostId }, changes) => this.#remove(hostId, changes),
      replaceToken: ({ hostId }, changes) => this.#replaceToken(hostId, changes),
      renameHost: ({ hostId, host }, changes) => this.#rename(hostId, host, changes),
      listHosts: () => {
        const isServed = engine.isServed();
        const now = engine.now();
        return Array.from(engine.hosts(), (record) => listedHost(record, isServed, now));
      },
      showHost: ({ hostId }) => this.#show(hostId),
      areHostChangesApplied: () => engine.areChangesApplied(),
      authenticate: ({ tokenDigest }) => engine.hostOfToken(tokenDigest),
    };
  }

  /** @throws RmError `invalid_host` */
  apply<N extends AdministrationName>([name, request]: Operation<N>, changes: Changes): Answer<N> {
    return this.#handlers[name](request, changes);
  }

  #show(hostId: string): HostDetails | undefined {
    const record = this.#engine.host(hostId);
    if (record === undefined) return undefined;
    const jobs = this.#engine.lastJobs(hostId);
    return hostDetails(record, jobs, this.#engine.isServed(), this.#engine.now());
  }

  /**
   * The caller's transaction must roll back if this throws, so that it adds all hosts or none.
   * @throws RmError `invalid_host` for the first invalid name
   */
  #add(hosts: readonly string[], changes: Changes): { hostId: string; token: string }[] {
    checkHostNames(hosts);
    const added = hosts.map((host) => {
      const token = newHostToken();
      return { hostId: nextHostId(), host, token, tokenDigest: digestOf(token) };
    });
    this.#engine.addHosts(added);
    return added.map(({ hostId, host, token, tokenDigest }) => {
      changes.added.push({ hostId, host });
      changes.enrolled.push([hostId, tokenDigest]);
      return { hostId, token };
    });
  }

  #remove(hostId: string, changes: Changes): boolean {
    if (!this.#engine.removeHost(hostId)) return false;
    changes.removed.push(hostId);
    return true;
  }

  #replaceToken(hostId: string, changes: Changes): { host: string; token: string } | undefined {
    const token = newHostToken();
    const digest = digestOf(token);
    const host = this.#engine.replaceToken(hostId, digest);
    if (host === undefined) return undefined;
    changes.tokensReplaced.push(hostId);
    changes.enrolled.push([hostId, digest]);
    return { host, token };
  }

  /**
   * @returns false if there is no such host
   * @throws RmError `invalid_host`
   */
  #rename(hostId: string, host: string, changes: Changes): boolean {
    checkHostName(host);
    if (!this.#engine.renameHost(hostId, host)) return false;
    noteRow(this.#engine, hostId, changes);
    return true;
  }
}

/** Adds the host's current row to `changes`, so that the publisher shows it. */
function noteRow(engine: Engine, hostId: string, changes: Changes): void {
  const named = new Named();
  named.hostIds.add(hostId);
  const host = engine.load(named).host(hostId);
  if (host !== undefined) changes.hosts.set(hostId, host);
}

/** Returns a token with 256 random bits. Its prefix lets secret scanners find a leaked token. */
function newHostToken(): string {
  return `rmh_${randomBytes(32).toString('base64url')}`;
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
