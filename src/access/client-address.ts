import { type Address, addressFromBytes, type Networks, parseAddress } from './networks.ts';

/**
 * The address of the client behind a request: the socket's peer, unless that is a trusted proxy. Then
 * `X-Forwarded-For` is walked from right (the nearest hop) to left while it names trusted proxies; the
 * first other address is the client, and the leftmost one if all are proxies.
 *
 * @param peer the peer's address in network byte order
 * @param forwardedFor all values of the header, joined by commas in the order of the header lines
 * @returns undefined if an address on the walk cannot be read: then nobody knows who asks
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

/** The white space that may stand around an element of a list (RFC 9110, section 5.6.1). */
function trimSpace(element: string): string {
  return element.replace(/^[ \t]+|[ \t]+$/g, '');
}

/** An address; some proxies add the client's port: `192.0.2.7:51234`, `[2001:db8::7]:443`. */
function parseForwardedAddress(text: string): Address | undefined {
  const [, v6, v4, port] = /^(?:\[([^\]]*)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  if (Number(port ?? 0) > MAX_PORT) return undefined;
  const address = parseAddress(v6 ?? v4 ?? text);
  // In brackets there is no IPv4 address (RFC 3986, section 3.2.2).
  return v6 !== undefined && !v6.includes(':') ? undefined : address;
}

const MAX_PORT = 65_535;

/** All `X-Forwarded-For` lines: `getHeader` knows only the first, which the client itself may have sent. */
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
