import { type Address, addressFromBytes, type Networks, parseAddress } from './networks.ts';

/**
 * Returns the address of the client that sent a request.
 *
 * This is the peer of the socket, unless the peer is a trusted proxy. In that case
 * `X-Forwarded-For` is read from right (the nearest hop) to left. The first address that is not a
 * trusted proxy is the client. If all are trusted proxies, the leftmost address is the client.
 * @param peer the peer's address in network byte order
 * @param forwardedFor returns all values of the header, joined by commas in the order of the header
 * lines
 * @returns undefined if the peer has no address, or if an address that must be read is invalid: the
 * client is unknown then
 */
export function clientAddress(
  peer: Uint8Array,
  forwardedFor: () => string | undefined,
  proxies: Networks,
): Address | undefined {
  const nearest = addressFromBytes(peer);
  if (nearest === undefined || !proxies.contains(nearest)) return nearest;
  const header = forwardedFor();
  if (header === undefined) return nearest;
  let client: Address = nearest;
  for (const hop of header.split(',').reverse()) {
    const address = parseForwardedAddress(trimSpace(hop));
    if (address === undefined) return undefined;
    client = address;
    if (!proxies.contains(address)) break;
  }
  return client;
}

/** Removes the white space that RFC 9110, section 5.6.1 allows around the elements of a list. */
function trimSpace(element: string): string {
  return element.replace(/^[ \t]+|[ \t]+$/g, '');
}

/**
 * Parses an address. Some proxies add the port of the client: `192.0.2.7:51234`,
 * `[2001:db8::7]:443`.
 */
function parseForwardedAddress(text: string): Address | undefined {
  const [, v6, v4, port] = /^(?:\[([^\]]*)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (Number(port ?? 0) > MAX_PORT) return undefined;
  const address = parseAddress(v6 ?? v4 ?? text);
  // Brackets must contain an IPv6 address (RFC 3986, section 3.2.2).
  return v6 !== undefined && !v6.includes(':') ? undefined : address;
}

const MAX_PORT = 65_535;

/**
 * Returns the values of all `X-Forwarded-For` lines. `getHeader` returns only the first line, which
 * the client itself may have sent.
 */
export function allForwardedFor(request: HeaderLines): string | undefined {
  const values: string[] = [];
  request.forEach((name, value) => {
    if (name === 'x-forwarded-for') values.push(value);
  });
  return values.length === 0 ? undefined : values.join(',');
}

interface HeaderLines {
  forEach(visit: (name: string, value: string) => void): void;
}
