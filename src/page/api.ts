import { ApiError } from './api-error.ts';
import type { Filter, Fleet, Host, HostDetails, HostPage } from './model.ts';
import { filterParameters } from './route.ts';

/** The largest page that the API returns. */
const MAX_LIMIT = 500;
const TIMEOUT_MS = 10_000;
/** What a token may contain (docs/running.md). The browser cannot send anything else in a header. */
const VALID_TOKEN = /^[\x21-\x7e]{1,1024}$/;

/** The API with a token, or without one if the server asks only for the network of the client. */
export class Api {
  readonly #token: string | undefined;

  constructor(token: string | undefined) {
    this.#token = token;
  }

  fleet(signal: AbortSignal): Promise<Fleet> {
    return this.#get('api/fleet', signal);
  }

  /** @throws ApiError with the status 404 if there is no such host */
  host(hostId: string, signal: AbortSignal): Promise<HostDetails> {
    return this.#get(`api/hosts/${encodeURIComponent(hostId)}`, signal);
  }

  /** The first `count` hosts, in as many requests as needed. */
  async hosts(filter: Filter, count: number, signal: AbortSignal): Promise<HostPage> {
    const hosts: Host[] = [];
    let next: string | null = null;
    do {
      const limit = Math.min(MAX_LIMIT, count - hosts.length);
      const page: HostPage = await this.#get(`api/hosts?${query(filter, limit, next)}`, signal);
      hosts.push(...page.hosts);
      next = page.next;
    } while (next !== null && hosts.length < count);
    return { hosts, next };
  }

  /** @throws ApiError, or the reason of `signal` */
  async #get<Answer>(path: string, signal: AbortSignal): Promise<Answer> {
    const token = this.#token;
    if (token !== undefined && !VALID_TOKEN.test(token)) throw new ApiError(401, true);
    const headers: Record<string, string> =
      token === undefined ? {} : { Authorization: `Bearer ${token}` };
    try {
      const response = await fetch(path, {
        headers,
        cache: 'no-store',
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      if (!response.ok) {
        throw new ApiError(response.status, response.headers.has('WWW-Authenticate'));
      }
      return (await response.json()) as Answer;
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof ApiError ? error : new ApiError(0, false);
    }
  }
}

function query(filter: Filter, limit: number, after: string | null): URLSearchParams {
  const parameters = filterParameters(filter);
  parameters.set('limit', String(limit));
  if (after !== null) parameters.set('after', after);
  return parameters;
}
