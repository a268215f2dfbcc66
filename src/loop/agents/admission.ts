import { bearerToken, sha256 } from '../../access/bearer.ts';
import { allForwardedFor, clientAddress } from '../../access/client-address.ts';
import type { Networks } from '../../access/networks.ts';
import type { HttpRequest, HttpResponse } from '../../platform/uws.ts';
import type { Refusal } from '../../shared/server-stats.ts';
import type { PendingResponse } from '../http/pending-response.ts';
import type { AgentStore } from './agent-store.ts';
import { MAX_LOOKUPS } from './limits.ts';
import type { RefusalContext } from './refusals.ts';

export interface AdmissionOptions extends RefusalContext {
  readonly store: AgentStore;
  /** Trusted proxies. Their `X-Forwarded-For` determines the address of an agent in the log. */
  readonly proxies: Networks;
}

/** The host to which the token of a request belongs. */
export interface AdmittedAgent {
  readonly hostId: string;
  /** Address from which the agent connects. */
  readonly address: string;
}

type OnRefused = (code: 401 | 503) => void;

/** Admits agents with the token of an enrolled host. Answers all other requests. */
export class Admission {
  readonly #options: AdmissionOptions;
  #lookups = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Returns undefined if this loop does not know the token. The request is then answered here: with
   * 401 if the store does not know the token either, otherwise with 503. In the latter case another
   * process has just created the token, and the loop will know it when the agent retries. The upgrade
   * cannot wait for the store, because uWS upgrades reliably only within the handler of the
   * request.
   * @param onRefused called with the HTTP status of a request that is answered here
   */
  admit(
    res: HttpResponse,
    req: HttpRequest,
    response: PendingResponse,
    onRefused: OnRefused = () => {},
  ): AdmittedAgent | undefined {
    const address = this.#address(res, req);
    const token = bearerToken(req.getHeader('authorization'));
    if (token === undefined) {
      this.unauthorized(response, address, onRefused);
      return undefined;
    }
    const tokenDigest = sha256(token);
    const hostId = this.#options.store.hostOfToken(tokenDigest);
    if (hostId !== undefined) return { hostId, address };
    if (this.#lookups < MAX_LOOKUPS) void this.#lookUp(tokenDigest, response, address, onRefused);
    else this.#unavailable(response, onRefused, 'too_many_connections');
    return undefined;
  }

  async #lookUp(
    tokenDigest: Buffer,
    response: PendingResponse,
    address: string,
    onRefused: OnRefused,
  ): Promise<void> {
    this.#lookups++;
    try {
      const hostId = await this.#options.store.submit('authenticate', { tokenDigest });
      if (hostId === undefined) this.unauthorized(response, address, onRefused);
      else this.#unavailable(response, onRefused);
    } catch {
      this.#unavailable(response, onRefused, 'store_unavailable');
    } finally {
      this.#lookups--;
    }
  }

  /** Answers with 401. */
  unauthorized(response: PendingResponse, address: string, onRefused: OnRefused): void {
    const { stats, events } = this.#options;
    stats.refusal('unauthorized');
    events.warn('agent_unauthorized', { address }, 'agent refused: token missing or unknown');
    const headers = { 'WWW-Authenticate': 'Bearer' };
    onRefused(401);
    response.send('401 Unauthorized', headers, 'unauthorized\n');
  }

  #unavailable(response: PendingResponse, onRefused: OnRefused, reason?: Refusal): void {
    if (reason) this.#options.stats.refusal(reason);
    onRefused(503);
    response.send('503 Service Unavailable', { 'Retry-After': '1' }, 'try again later\n');
  }

  #address(res: HttpResponse, req: HttpRequest): string {
    const peer = new Uint8Array(res.getRemoteAddress());
    const client = clientAddress(peer, () => allForwardedFor(req), this.#options.proxies);
    return client?.toString() ?? 'unknown';
  }
}
