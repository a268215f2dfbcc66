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
    const address = parseAddress(hop.trim());
    if (address === undefined) return undefined;
    client = address;
    if (!proxies.contains(address)) break;
  }
  return client;
}
