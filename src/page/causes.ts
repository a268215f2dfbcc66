import { ApiError } from './api-error.ts';
import type { Host, HostDetails } from './model.ts';
import { type Cause, causeIn } from './words.ts';

/** So many hosts of the list get their cause. They are the worst, and the first to be seen. */
const MAX_CAUSES = 20;
/** Requests at one time. The server refuses requests beyond a number for all pages together. */
const MAX_REQUESTS = 3;

/** Asks the API for the details of a host. */
export type DetailsOf = (hostId: string) => Promise<HostDetails>;

/**
 * Why the worst hosts are in their state. The list of the API does not contain that, so this asks for their
 * details, once for each new failure.
 */
export class Causes {
  #known = new Map<string, Cause>();

  of(host: Host): Cause | undefined {
    return this.#known.get(keyOf(host));
  }

  /**
   * Loads the causes that are not known yet, and forgets those of other hosts.
   * @returns whether there are new ones
   */
  async load(hosts: readonly Host[], detailsOf: DetailsOf): Promise<boolean> {
    const wanted = hosts.filter(hasCause).slice(0, MAX_CAUSES);
    const missing = wanted.filter((host) => this.of(host) === undefined);
    const loaded = new Map<string, Cause | undefined>();
    const waiting = [...missing];
    const loadSome = async () => {
      for (let host = waiting.shift(); host !== undefined; host = waiting.shift()) {
        loaded.set(keyOf(host), await causeOf(host, detailsOf));
      }
    };
    await Promise.all(Array.from({ length: MAX_REQUESTS }, loadSome));
    this.#known = new Map(
      wanted.flatMap((host) => {
        const cause = this.of(host) ?? loaded.get(keyOf(host));
        return cause === undefined ? [] : [[keyOf(host), cause]];
      }),
    );
    return missing.length > 0;
  }
}

function hasCause({ state }: Host): boolean {
  return state === 'failed' || state === 'offline';
}

/** Another failure, or another alert, has another cause. */
function keyOf({ host_id: hostId, last_backup_at: at, alerts }: Host): string {
  return [hostId, at, ...alerts].join(' ');
}

/** @returns undefined if there was no answer: then the list does without, until the next attempt */
async function causeOf(
  { host_id: hostId }: Host,
  detailsOf: DetailsOf,
): Promise<Cause | undefined> {
  try {
    return causeIn(await detailsOf(hostId));
  } catch (error) {
    if (error instanceof ApiError) return undefined;
    throw error;
  }
}
