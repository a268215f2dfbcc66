import { RmError } from '../errors.ts';
import { bearerToken, SecretToken } from './bearer.ts';
import { clientAddress } from './client-address.ts';
import { Networks } from './networks.ts';

/** Who may scrape. With neither a token nor networks there is no gate, and then no endpoint. */
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

export interface Gate {
  /** Whether a `WWW-Authenticate: Bearer` belongs to a refusal. */
  readonly wantsToken: boolean;
  admits(request: GateRequest): boolean;
}

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
  const secret = rules.token === undefined ? undefined : new SecretToken(rules.token);
  const networks = rules.trustedCidrs?.length
    ? new Networks(rules.trustedCidrs, 'trustedCidrs')
    : undefined;
  const proxies = new Networks(rules.trustedProxies ?? [], 'trustedProxies');
  if (secret === undefined && networks === undefined) return undefined;
  return {
    wantsToken: secret !== undefined,
    admits(request) {
      // Both are always looked at: which of them failed does not show in the time either.
      const knowsToken = secret?.matches(bearerToken(request.authorization)) ?? true;
      if (networks === undefined) return knowsToken;
      const client = clientAddress(request.peer, () => request.forwardedFor(), proxies);
      return client !== undefined && networks.contains(client) && knowsToken;
    },
  };
}
