import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { RmError } from '../errors.ts';

export type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Reads four decimal parts or an IPv6 address; an IPv4-mapped one comes out as IPv4. */
export function parseAddress(text: string): Address | undefined {
  // ipaddr.js also reads 0x7f.1 and 010.0.0.1, also as the tail of an IPv6 address, and takes ::10.0.0.1
  // for ::ffff:10.0.0.1; what one reader takes for another address than the next has no place in an
  // access rule. Zone ids name an interface of somebody else's machine.
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (!isIPv6(text) || text.includes('%') || /^::\d+\./.test(text)) return undefined;
  return unmapped(ipaddr.IPv6.parse(text));
}

/** Reads an address in network byte order: 4 or 16 bytes, as uWebSockets.js hands it out. */
export function addressFromBytes(bytes: Uint8Array): Address | undefined {
  if (bytes.length !== 4 && bytes.length !== 16) return undefined; // a Unix socket has no address
  const address = ipaddr.fromByteArray([...bytes]);
  return address instanceof ipaddr.IPv6 ? unmapped(address) : address;
}

/** An address and the length of its prefix in bits. */
export type Network = readonly [Address, number];

export const NETWORK_EXPECTED = 'an address or a network such as 10.0.0.0/8 or 2001:db8::/32';

/** A set of networks, compiled once. */
export class Networks {
  readonly #v4: [ipaddr.IPv4, number][] = [];
  readonly #v6: [ipaddr.IPv6, number][] = [];

  /** @throws RmError `invalid_settings` on what `parseNetwork` does not take, naming `setting` */
  constructor(list: readonly string[], setting: string) {
    for (const text of list) {
      const network = parseNetwork(text);
      if (network === undefined) {
        throw new RmError(
          'invalid_settings',
          `${setting}: must be ${NETWORK_EXPECTED}, not ${text}`,
        );
      }
      const [address, prefix] = network;
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

/** Whether there is an address that both networks contain. */
export function overlap([a, aBits]: Network, [b, bBits]: Network): boolean {
  const bits = Math.min(aBits, bBits);
  if (a instanceof ipaddr.IPv4) return b instanceof ipaddr.IPv4 && a.match(b, bits);
  return b instanceof ipaddr.IPv6 && a.match(b, bits);
}

/** Reads `address/prefix`; a bare address is a network of its own. */
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
