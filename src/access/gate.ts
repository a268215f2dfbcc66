import { checkAll, RmError } from '../errors.ts';
import { bearerToken, SecretToken } from './bearer.ts';
import { clientAddress } from './client-address.ts';
import { type Network, Networks, overlap, parseNetwork } from './networks.ts';

/**
 * How long the previous token stays valid after a reload of settings. Scrapers get the new token
 * through another channel, and later.
 */
export const TOKEN_OVERLAP_MS = 5 * 60 * 1_000;

/**
 * Who may scrape. A request must satisfy every rule that is set: the token, the networks, or both.
 * With neither a token nor networks there is no scrape endpoint.
 *
 * @example
 * ```ts
 * const gates: AccessRules = {
 *   token: 'a-long-random-text',
 *   trustedCidrs: ['10.0.0.0/8', '2001:db8::/32'],
 *   trustedProxies: ['10.0.0.1'],
 * };
 * ```
 */
export interface AccessRules {
  /** The bearer token that a scraper must send: 1 to 1024 visible ASCII characters without spaces. */
  readonly token?: string | undefined;
  /** Networks or addresses that clients must come from, in CIDR notation. Empty means no such rule. */
  readonly trustedCidrs?: readonly string[] | undefined;
  /** Proxies whose `X-Forwarded-For` header is trusted: addresses or networks. */
  readonly trustedProxies?: readonly string[] | undefined;
}

/** What a gate checks. The endpoint reads it from the request synchronously. */
export interface GateRequest {
  /** The `Authorization` header, empty if there is none. */
  readonly authorization: string;
  /** The socket's peer in network byte order. */
  readonly peer: Uint8Array;
  /** All `X-Forwarded-For` values joined by commas, in order; undefined if there is none. */
  forwardedFor(): string | undefined;
}

/** Why a request was refused. */
export interface GateRefusal {
  readonly gate: 'token' | 'network' | 'token and network';
  /** The address of the client, or `unknown`. */
  readonly client: string;
}

export interface Gate {
  /** Whether a refusal needs the header `WWW-Authenticate: Bearer`. */
  readonly wantsToken: boolean;
  /** @returns undefined if the request may pass */
  refusal(request: GateRequest): GateRefusal | undefined;
  /**
   * Replaces the token. The previous token stays valid for `overlapMs` milliseconds, so that
   * scrapers have time to switch. Older tokens stay valid until their own overlap ends.
   * @throws RmError `invalid_settings`; the token is unchanged then
   */
  replaceToken(token: string, overlapMs: number): void;
}

/**
 * If the token is replaced more often than this within the overlap, the oldest tokens become
 * invalid early.
 */
const MAX_PREVIOUS_TOKENS = 10;

/**
 * Compiles rules into a gate.
 * @returns undefined if the rules set neither a token nor networks
 * @throws RmError `invalid_settings`, naming every error
 */
export function compileGate(rules: AccessRules): Gate | undefined {
  if (typeof rules !== 'object' || rules === null) {
    throw new RmError(
      'invalid_settings',
      'gates: must be an object such as { token } or { trustedCidrs }',
    );
  }
  const { token, trustedCidrs, trustedProxies } = rules;
  const [first, networks, proxies] = checkAll([
    () => (token === undefined ? undefined : new SecretToken(token)),
    () => (trustedCidrs?.length ? new Networks(trustedCidrs, 'trustedCidrs') : undefined),
    () => new Networks(trustedProxies ?? [], 'trustedProxies'),
  ]);
  let secrets = first === undefined ? [] : [{ secret: first, until: Number.POSITIVE_INFINITY }];
  if (secrets.length === 0 && networks === undefined) return undefined;
  return {
    wantsToken: secrets.length > 0,
    refusal(request) {
      // Always check both gates, so that the response time does not reveal which of them failed.
      const now = performance.now();
      const given = bearerToken(request.authorization);
      let knowsToken = secrets.length === 0;
      for (const { secret, until } of secrets) {
        if (secret.matches(given) && now < until) knowsToken = true;
      }
      if (networks === undefined && knowsToken) return undefined;
      const client = clientAddress(request.peer, () => request.forwardedFor(), proxies);
      const inNetwork =
        networks === undefined || (client !== undefined && networks.contains(client));
      if (knowsToken && inNetwork) return undefined;
      return {
        gate: knowsToken ? 'network' : inNetwork ? 'token' : 'token and network',
        client: client?.toString() ?? 'unknown',
      };
    },
    replaceToken(token, overlapMs) {
      const secret = new SecretToken(token);
      if (secrets[0]?.secret.equals(secret)) return;
      const now = performance.now();
      const previous = secrets.slice(0, MAX_PREVIOUS_TOKENS).map(({ secret, until }) => ({
        secret,
        until: Math.min(until, now + overlapMs),
      }));
      secrets = [{ secret, until: Number.POSITIVE_INFINITY }, ...previous];
    },
  };
}

/**
 * Returns the trusted proxies that are inside a trusted network. If such a proxy does not send
 * `X-Forwarded-For`, all of its clients pass with the address of the proxy.
 */
export function proxiesInTrustedNetworks(rules: AccessRules): string[] {
  const networks = (rules.trustedCidrs ?? []).flatMap((text) => networkIn(text));
  return (rules.trustedProxies ?? []).filter((proxy) =>
    networkIn(proxy).some((own) => networks.some((network) => overlap(own, network))),
  );
}

function networkIn(text: string): Network[] {
  const network = parseNetwork(text);
  return network === undefined ? [] : [network];
}
