import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { checkAll, RmError } from '../errors.ts';

export type Address = ipaddr.IPv4 | ipaddr.IPv6;

/**
 * Parses an IPv4 address of four decimal parts, or an IPv6 address. Returns an IPv4-mapped IPv6
 * address as IPv4.
 */
export function parseAddress(text: string): Address | undefined {
  // ipaddr.js also accepts 0x7f.1 and 010.0.0.1, even as the tail of an IPv6 address, and it reads
  // ::10.0.0.1 as ::ffff:10.0.0.1. Other software reads such texts as other addresses, so access
  // rules must not contain them. Zone ids name an interface of another machine.
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (!isIPv6(text) || text.includes('%') || /^::\d+\./.test(text)) return undefined;
  return unmapped(ipaddr.IPv6.parse(text));
}

/** Converts an address in network byte order, 4 or 16 bytes, as uWebSockets.js returns it. */
export function addressFromBytes(bytes: Uint8Array): Address | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined; // a Unix socket has no address
  const address = ipaddr.fromByteArray([...bytes]);
  return address instanceof ipaddr.IPv6 ? unmapped(address) : address;
}

/** An address and a prefix length in bits. */
export type Network = readonly [Address, number];

export const NETWORK_EXPECTED = 'an address or a network such as 10.0.0.0/8 or 2001:db8::/32';

/** A set of networks, compiled once. */
export class Networks {
  readonly #v4: [ipaddr.IPv4, number][] = [];
  readonly #v6: [ipaddr.IPv6, number][] = [];

  /**
   * @param list networks or addresses
   * @param setting the name of the list for error messages
   * @throws RmError `invalid_settings` if `parseNetwork` rejects an element
   */
  constructor(list: readonly string[], setting: string) {
    if (!Array.isArray(list)) {
      throw new RmError('invalid_settings', `${setting}: must be a list of networks`);
    }
    const networks = checkAll(list.map((text) => () => checkedNetwork(text, setting)));
    for (const [address, prefix] of networks) {
      if (address instanceof ipaddr.IPv4) this.#v4.push([address, prefix]);
      else this.#v6.push([address, prefix]);
    }
  }

  contains(address: Address): boolean {
    return address instanceof ipaddr.IPv4
      ? this.#v4.some(([network, prefix]) => address.match(network, prefix))
      : this.#v6.some(([network, prefix]) => address.match(network, prefix));
  }
}

function checkedNetwork(text: string, setting: string): Network {
  const network = parseNetwork(text);
  if (network !== undefined) return network;
  throw new RmError('invalid_settings', `${setting}: must be ${NETWORK_EXPECTED}, not ${text}`);
}

/** Returns whether an address exists that both networks contain. */
export function overlap([a, aBits]: Network, [b, bBits]: Network): boolean {
  const bits = Math.min(aBits, bBits);
  if (a instanceof ipaddr.IPv4) return b instanceof ipaddr.IPv4 && a.match(b, bits);
  return b instanceof ipaddr.IPv6 && a.match(b, bits);
}

/** Parses `address/prefix`. An address without a prefix is a network with only that address. */
export function parseNetwork(text: string): Network | undefined {
  if (typeof text !== 'string') return undefined;
  const [base = '', prefixText, ...more] = text.split('/');
  if (more.length > 0) return undefined;
  const address = parseAddress(base);
  if (address === undefined) return undefined;
  const bits = address instanceof ipaddr.IPv4 ? 32 : 128;
  if (prefixText === undefined) return [address, bits];
  if (!/^(0|[1-9]\d{0,2})$/.test(prefixText)) return undefined;
  let prefix = Number(prefixText);
  if (bits === 32 && base.includes(':')) prefix -= 96; // ::ffff:10.0.0.0/104 is 10.0.0.0/8
  return prefix >= 0 && prefix <= bits ? [address, prefix] : undefined;
}

function unmapped(address: ipaddr.IPv6): Address {
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}
