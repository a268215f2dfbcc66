import { createHash, randomBytes } from 'node:crypto';
import { ulid } from 'ulid';
import { checkHostName } from '../contract/host-name.ts';
import type { Answer, Operation, Request } from '../contract/operations.ts';
import type { Changes } from './changes.ts';
import type { Engine } from './engine.ts';
import { Named } from './rows.ts';
import { listedHost } from './rules/views.ts';

/** What the `hosts` commands do, and what a loop asks. */
export type AdministrationName =
  | 'addHosts'
  | 'removeHost'
  | 'replaceToken'
  | 'renameHost'
  | 'listHosts'
  | 'areHostChangesApplied'
  | 'authenticate';

const SHOWN_CHARACTERS = 40;

type Handlers = {
  readonly [N in AdministrationName]: (request: Request<N>, changes: Changes) => Answer<N>;
};

/** Which hosts there are, under which names, with which tokens. Only the SHA-256 of a token is kept. */
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
        return Array.from(engine.hosts(), (record) => listedHost(record, isServed));
      },
      areHostChangesApplied: () => !engine.isServed() || engine.changesSince(0).length === 0,
      authenticate: ({ tokenDigest }) => engine.hostOfToken(tokenDigest),
    };
  }

  /** @throws RmError `invalid_host` */
  apply<N extends AdministrationName>([name, request]: Operation<N>, changes: Changes): Answer<N> {
    return this.#handlers[name](request, changes);
  }

  /** @throws RmError `invalid_host` naming the first bad name; the caller's transaction then adds none */
  #add(hosts: readonly string[], changes: Changes): { hostId: string; token: string }[] {
    for (const [index, host] of hosts.entries()) {
      checkHostName(host, hosts.length === 1 ? undefined : placeOf(host, index));
    }
    return hosts.map((host) => {
      const hostId = ulid();
      const token = newHostToken();
      const digest = digestOf(token);
      this.#engine.addHost(hostId, host, digest);
      changes.enrolled.push([hostId, digest]);
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

  /** @throws RmError `invalid_host`; @returns whether there is such a host */
  #rename(hostId: string, host: string, changes: Changes): boolean {
    checkHostName(host);
    if (!this.#engine.renameHost(hostId, host)) return false;
    noteRow(this.#engine, hostId, changes);
    return true;
  }
}

/** Has the host's row shown as it is in the database now. */
export function noteRow(engine: Engine, hostId: string, changes: Changes): void {
  const named = new Named();
  named.hostIds.add(hostId);
  const host = engine.load(named).host(hostId);
  if (host !== undefined) changes.hosts.set(hostId, host);
}

/** A host's secret: 256 random bits, with a prefix by which leaked ones can be searched for. */
function newHostToken(): string {
  return `rmh_${randomBytes(32).toString('base64url')}`;
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

/** Which of several names is meant: its number, and how it begins. */
function placeOf(name: string, index: number): string {
  const start = [...name].slice(0, SHOWN_CHARACTERS).join('');
  return `host name ${index + 1} (${JSON.stringify(start)}${start === name ? '' : '…'})`;
}
