import { type Api, ApiError } from './api.ts';
import type { Host } from './model.ts';
import { type Cause, causeIn } from './words.ts';

/** So many hosts of the list get their cause. They are the worst, and the first to be seen. */
const MAX_CAUSES = 20;

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
  async load(hosts: readonly Host[], api: Api, signal: AbortSignal): Promise<boolean> {
    const wanted = hosts.filter(hasCause).slice(0, MAX_CAUSES);
    const missing = wanted.filter((host) => this.of(host) === undefined);
    const found = await Promise.all(
      missing.map(async (host) => [keyOf(host), await causeOf(host, api, signal)] as const),
    );
    const loaded = new Map(found);
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
  api: Api,
  signal: AbortSignal,
): Promise<Cause | undefined> {
  try {
    return causeIn(await api.host(hostId, signal));
  } catch (error) {
    if (error instanceof ApiError) return undefined;
    throw error;
  }
}
