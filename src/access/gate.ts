import { RmError } from '../errors.ts';
import { bearerToken, SecretToken } from './bearer.ts';
import { clientAddress } from './client-address.ts';
import { type Network, Networks, overlap, parseNetwork } from './networks.ts';

/** Who may scrape. With neither a token nor networks there is no gate, and then no endpoint. */
/** How long the token before is good beside a new one: scrapers get theirs by other ways, and later. */
export const TOKEN_OVERLAP_MS = 5 * 60 * 1_000;

export interface AccessRules {
  readonly token?: string | undefined;
  /** Networks or addresses that clients must come from; empty is the same as none. */
  readonly trustedCidrs?: readonly string[] | undefined;
  /** Proxies whose `X-Forwarded-For` counts. */
  readonly trustedProxies?: readonly string[] | undefined;
}

/** What a gate looks at, read from the request before anything is awaited. */
export interface GateRequest {
  /** The `Authorization` header, empty if there is none. */
  readonly authorization: string;
  /** The socket's peer in network byte order. */
  readonly peer: Uint8Array;
  /** All `X-Forwarded-For` values joined by commas, in order; undefined if there is none. */
  forwardedFor(): string | undefined;
}

/** Why a request did not pass. */
export interface GateRefusal {
  readonly gate: 'token' | 'network' | 'token and network';
  /** The client's address as computed; `unknown` if it could not be. */
  readonly client: string;
}

export interface Gate {
  /** Whether a `WWW-Authenticate: Bearer` belongs to a refusal. */
  readonly wantsToken: boolean;
  /** @returns undefined if the request passes */
  refusal(request: GateRequest): GateRefusal | undefined;
  /**
   * Replaces the token. The one before is good for `overlapMs` more, so that scrapers can follow, and so are those
   * before that one until their time is over.
   * @throws RmError `invalid_settings`; the token stays then
   */
  replaceToken(token: string, overlapMs: number): void;
}

/** Who reloads more often within the overlap has the oldest tokens end early. */
const MAX_PREVIOUS_TOKENS = 10;

/**
 * Compiles the rules, once; undefined if they set no gate.
 * @throws RmError `invalid_settings`
 */
export function compileGate(rules: AccessRules): Gate | undefined {
  if (typeof rules !== 'object' || rules === null) {
    throw new RmError(
      'invalid_settings',
      'gates: must be an object such as { token } or { trustedCidrs }',
    );
  }
  let secrets =
    rules.token === undefined
      ? []
      : [{ secret: new SecretToken(rules.token), until: Number.POSITIVE_INFINITY }];
  const networks = rules.trustedCidrs?.length
    ? new Networks(rules.trustedCidrs, 'trustedCidrs')
    : undefined;
  const proxies = new Networks(rules.trustedProxies ?? [], 'trustedProxies');
  if (secrets.length === 0 && networks === undefined) return undefined;
  return {
    wantsToken: secrets.length > 0,
    refusal(request) {
      // Both gates are always looked at: which of them failed does not show in the time either.
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
      const previous = secrets.map(({ secret, until }) => ({
        secret,
        until: Math.min(until, now + overlapMs),
      }));
      const stillValid = previous.filter(({ until }) => until > now).slice(0, MAX_PREVIOUS_TOKENS);
      secrets = [{ secret, until: Number.POSITIVE_INFINITY }, ...stillValid];
    },
  };
}

/**
 * Trusted proxies that are inside a trusted network themselves. If such a proxy forgets `X-Forwarded-For`, all of its
 * clients pass as the proxy.
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
