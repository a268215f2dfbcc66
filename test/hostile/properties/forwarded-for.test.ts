import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clientAddress } from '../../../src/access/client-address.ts';
import { type Address, Networks } from '../../../src/access/networks.ts';

/*
 * The walk over X-Forwarded-For, against a model that shares nothing with it: addresses are whole numbers here,
 * and what a text means is read by hand. Many addresses are near one another, so that networks often contain
 * them, and many texts are nearly good ones.
 */

describe('the client behind proxies', () => {
  test('is whom a naive walk over the hops finds', () => {
    fc.assert(
      fc.property(
        anyPeer,
        anyNetworks,
        fc.array(anyHop, { maxLength: 6 }),
        (peer, proxies, hops) => {
          const header = hops.length === 0 ? undefined : hops.join(',');
          expect(walk(peer, header, proxies)).toEqual(naiveWalk(peer, header, proxies));
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test('is whom a naive walk over any text made of such characters finds', () => {
    fc.assert(
      fc.property(
        anyPeer,
        anyNetworks,
        fc.string({ unit: fc.constantFrom(...'0129afF:.[]%/, \t"-'), maxLength: 40 }),
        (peer, proxies, header) => {
          expect(walk(peer, header, proxies)).toEqual(naiveWalk(peer, header, proxies));
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test('is somebody or nobody for any text at all, and never an exception', () => {
    fc.assert(
      fc.property(
        anyPeer,
        fc.array(fc.oneof(anyHop, fc.string({ unit: 'binary' }), fc.string()), { maxLength: 6 }),
        (peer, hops) => {
          const everybody = new Networks(['0.0.0.0/0', '::/0'], 'trustedProxies');
          const client = clientAddress(bytesOf(peer), () => hops.join(','), everybody);
          expect(client === undefined || client.toString() !== '').toBe(true);
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test('is found in a header as long as a request can carry', () => {
    const proxies: Network[] = [{ address: v4(10, 0, 0, 0), prefix: 8 }];
    const peer = v4(10, 0, 0, 1);
    for (const hop of ['10.0.0.2', '[', ':', '[::', '1.', '9'.repeat(64), ' ', '']) {
      const header = `203.0.113.7,${`${hop},`.repeat(65_536 / (hop.length + 1))}10.0.0.3`;
      expect(walk(peer, header, proxies)).toEqual(naiveWalk(peer, header, proxies));
      const one = hop.repeat(65_536 / (hop.length || 1));
      expect(walk(peer, one, proxies)).toEqual(naiveWalk(peer, one, proxies));
    }
  });
});

describe('what a client writes itself', () => {
  test('left of the first hop that is no proxy changes nothing, whatever it is', () => {
    fc.assert(
      fc.property(
        anyAddress,
        fc.array(anyAddress, { minLength: 1, maxLength: 4 }),
        anyNetworks,
        fc.oneof(fc.string({ unit: 'binary' }), fc.array(anyHop).map(String)),
        (client, chain, others, forged) => {
          const proxies = [...others, ...chain.map(networkOfOne)].filter(
            (network) => !contains([network], client),
          );
          fc.pre(chain.every((hop) => contains(proxies, hop)));
          const [peer = client, ...hops] = chain;
          const header = [client, ...hops].map(plainText).join(', ');
          expect(walk(peer, header, proxies)).toEqual(client);
          expect(walk(peer, `${forged},${header}`, proxies)).toEqual(client);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('counts for nothing at all if the peer is no proxy', () => {
    fc.assert(
      fc.property(anyNetworks, anyPeer, fc.string({ unit: 'binary' }), (proxies, peer, forged) => {
        fc.pre(!contains(proxies, peer));
        expect(walk(peer, forged, proxies)).toEqual(peer);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('an entry of one hop', () => {
  const oneHop = (text: string) => walk(v4(10, 0, 0, 1), text, [networkOfOne(v4(10, 0, 0, 1))]);

  test('means the same with any port as without', () => {
    fc.assert(
      fc.property(anyAddress, anyNotation, fc.nat({ max: 65_535 }), (address, notation, port) => {
        const text = notation(address);
        const bracketed = text.includes(':') ? `[${text}]` : text;
        expect(oneHop(text)).toEqual(address);
        expect(oneHop(`${bracketed}:${port}`)).toEqual(address);
        if (text.includes(':')) expect(oneHop(bracketed)).toEqual(address);
      }),
      { numRuns: 2_000 },
    );
  });

  test('is nobody with a port above 65535, or one that is no number', () => {
    const noPort = fc.oneof(
      fc.integer({ min: 65_536, max: 10_000_000 }).map(String),
      fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 6, maxLength: 400 }),
      fc.constantFrom('', '-1', '+1', '8e1', '0x50', ' 80', '80:80', 'http', '٨٠', '8.0'),
    );
    fc.assert(
      fc.property(anyAddress, noPort, (address, port) => {
        const text = plainText(address);
        expect(oneHop(`${text.includes(':') ? `[${text}]` : text}:${port}`)).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  test('is nobody with an IPv4 address in brackets, or anything around an address', () => {
    const around = fc.string({
      unit: fc.constantFrom(...'0:.[]%/"\'=;_ax \t\0'),
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 32 - 1 }), around, fc.boolean(), (bits, junk, before) => {
        const address = { bits: 32, value: BigInt(bits) } as const;
        expect(oneHop(`[${plainText(address)}]`)).toBeUndefined();
        expect(oneHop(`[${plainText(address)}]:80`)).toBeUndefined();
        const text = before ? `${junk}${plainText(address)}` : `${plainText(address)}${junk}`;
        expect(oneHop(text)).toEqual(readHop(text));
      }),
      { numRuns: 2_000 },
    );
  });
});

interface NaiveAddress {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

interface Network {
  readonly address: NaiveAddress;
  readonly prefix: number;
}

function v4(...parts: readonly number[]): NaiveAddress {
  return { bits: 32, value: parts.reduce((value, part) => value * 256n + BigInt(part), 0n) };
}

function networkOfOne(address: NaiveAddress): Network {
  return { address, prefix: address.bits };
}

/** The client as the product sees it. */
function walk(
  peer: NaiveAddress,
  header: string | undefined,
  proxies: readonly Network[],
): NaiveAddress | undefined {
  const networks = proxies.map(({ address, prefix }) => `${plainText(address)}/${prefix}`);
  const found = clientAddress(
    bytesOf(peer),
    () => header,
    new Networks(networks, 'trustedProxies'),
  );
  return found && naive(found);
}

function naive(address: Address): NaiveAddress {
  const bytes = address.toByteArray();
  const value = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  return { bits: bytes.length === 4 ? 32 : 128, value };
}

/** The client as the contract has it: the first address from the right that is no proxy, else the leftmost. */
function naiveWalk(
  peer: NaiveAddress,
  header: string | undefined,
  proxies: readonly Network[],
): NaiveAddress | undefined {
  const hops = header === undefined ? [] : header.split(',').toReversed();
  const chain = [() => peer as NaiveAddress | undefined, ...hops.map((hop) => () => readHop(hop))];
  let client: NaiveAddress | undefined;
  for (const read of chain) {
    client = read();
    if (client === undefined || !contains(proxies, client)) return client;
  }
  return client;
}

function contains(networks: readonly Network[], { bits, value }: NaiveAddress): boolean {
  return networks.some(({ address, prefix }) => {
    const hostBits = BigInt(bits - prefix);
    return address.bits === bits && value >> hostBits === address.value >> hostBits;
  });
}

/** `ADDRESS`, `IPV4:PORT`, `[IPV6]` or `[IPV6]:PORT`, with spaces and tabs around it. */
function readHop(hop: string): NaiveAddress | undefined {
  const text = hop.replace(/^[ \t]+|[ \t]+$/g, '');
  if (text.startsWith('[')) {
    const [inside = '', behind, ...more] = text.slice(1).split(']');
    if (behind === undefined || more.length > 0) return undefined;
    if (behind !== '' && !(behind.startsWith(':') && isPort(behind.slice(1)))) return undefined;
    return readV6(inside);
  }
  const [first = '', port, ...more] = text.split(':');
  if (more.length > 0) return readV6(text);
  if (port !== undefined && !isPort(port)) return undefined;
  return readV4(first);
}

function isPort(text: string): boolean {
  return /^[0-9]{1,5}$/.test(text) && Number(text) < 65_536;
}

function readV4(text: string): NaiveAddress | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  // A leading zero makes a number octal to some readers.
  if (!parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256)) {
    return undefined;
  }
  return v4(...parts.map(Number));
}

/** RFC 4291, section 2.2, without the deprecated `::192.0.2.7`, which is not what it looks like to some readers. */
function readV6(text: string): NaiveAddress | undefined {
  if (/^::[0-9]+\./.test(text)) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  const last = groups.at(-1)?.at(-1);
  if (last?.includes('.')) {
    const tail = readV4(last);
    if (tail === undefined) return undefined;
    const words = [tail.value >> 16n, tail.value & 0xffffn].map((word) => word.toString(16));
    groups.at(-1)?.splice(-1, 1, ...words);
  }
  const [head = [], tail = []] = groups;
  const zeros = 8 - head.length - tail.length;
  if (halves.length === 2 ? zeros < 1 : zeros !== 0) return undefined;
  const all = [...head, ...Array.from({ length: zeros }, () => '0'), ...tail];
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return unmapped(all.reduce((value, group) => value * 65_536n + BigInt(`0x${group}`), 0n));
}

const MAPPED = 0xffff_0000_0000n;

function unmapped(value: bigint): NaiveAddress {
  return value >> 32n === MAPPED >> 32n
    ? { bits: 32, value: value & 0xffff_ffffn }
    : { bits: 128, value };
}

function bytesOf({ bits, value }: NaiveAddress): Uint8Array {
  return Uint8Array.from(Buffer.from(value.toString(16).padStart(bits / 4, '0'), 'hex'));
}

function dotted(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
}

function groupsOf(value: bigint): string[] {
  return Array.from({ length: 8 }, (_, n) =>
    ((value >> BigInt(112 - 16 * n)) & 0xffffn).toString(16),
  );
}

function plainText({ bits, value }: NaiveAddress): string {
  return bits === 32 ? dotted(value) : groupsOf(value).join(':');
}

/** With `::` for the first group of zeros, and for those that follow it. */
function shortText(address: NaiveAddress): string {
  if (address.bits === 32) return dotted(address.value);
  return plainText(address).replace(/(?:^|:)0(?::0)*(?:$|:)/, '::');
}

function longText(address: NaiveAddress): string {
  return address.bits === 32
    ? dotted(address.value)
    : groupsOf(address.value)
        .map((group) => group.padStart(4, '0').toUpperCase())
        .join(':');
}

/** The last 32 bits dotted; an IPv4 address as the IPv6 address it is mapped to. */
function dottedTail({ bits, value }: NaiveAddress): string {
  const whole = bits === 32 ? MAPPED + value : value;
  return `${groupsOf(whole).slice(0, 6).join(':')}:${dotted(whole & 0xffff_ffffn)}`;
}

function mappedText(address: NaiveAddress): string {
  return address.bits === 32 ? `::ffff:${dotted(address.value)}` : longText(address);
}

const anyNotation = fc.constantFrom(plainText, shortText, longText, dottedTail, mappedText);

/** Near 10.0.0.0, or anywhere. */
const anyV4: fc.Arbitrary<NaiveAddress> = fc
  .oneof(
    fc.nat({ max: 7 }).map((low) => 0x0a00_0000 + low),
    fc.nat({ max: 2 ** 32 - 1 }),
  )
  .map((value) => ({ bits: 32, value: BigInt(value) }));

/** Near fd00::, near ::, near the addresses that are mapped, or anywhere; never mapped itself. */
const anyV6: fc.Arbitrary<NaiveAddress> = fc
  .oneof(
    fc.nat({ max: 7 }).map((low) => (0xfd00n << 112n) + BigInt(low)),
    fc.nat({ max: 7 }).map(BigInt),
    fc.nat({ max: 7 }).map((low) => MAPPED - 4n + BigInt(low)),
    fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
  )
  .map((value): NaiveAddress => ({ bits: 128, value }))
  .filter(({ value }) => unmapped(value).bits === 128);

const anyAddress = fc.oneof(anyV4, anyV6);
const anyPeer = anyAddress;

const anyNetworks: fc.Arbitrary<Network[]> = fc.array(
  anyAddress.chain((address) =>
    fc
      .oneof(
        fc.nat({ max: address.bits }),
        fc.integer({ min: address.bits - 3, max: address.bits }),
      )
      .map((prefix) => ({ address, prefix })),
  ),
  { maxLength: 4 },
);

const goodHop = fc
  .tuple(anyAddress, anyNotation, fc.option(fc.nat({ max: 65_535 }), { nil: undefined }))
  .map(([address, notation, port]) => {
    const text = notation(address);
    if (port === undefined) return text;
    return text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`;
  });

/** One character of a good one is another, or missing, or there twice. */
const nearlyGoodHop = fc
  .tuple(goodHop, fc.nat(), fc.constantFrom('', ...'0159af:.[]%/ "-'), fc.boolean())
  .map(([text, at, character, instead]) => {
    const start = at % (text.length + 1);
    return text.slice(0, start) + character + text.slice(start + (instead ? 1 : 0));
  });

const anyHop = fc
  .tuple(
    fc.constantFrom('', ' ', '\t', ' \t '),
    fc.oneof(
      { weight: 6, arbitrary: goodHop },
      { weight: 3, arbitrary: nearlyGoodHop },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          '',
          'unknown',
          '_hidden',
          '[192.0.2.1]:80',
          '2001:db8::7:',
          '[2001:db8::7]:65536',
          '192.0.2.7:65536',
          '::192.0.2.7',
          'fe80::1%eth0',
          '010.0.0.1',
          '0x0a.0.0.1',
          '167772161',
          '10.1',
        ),
      },
    ),
    fc.constantFrom('', ' ', '\t'),
  )
  .map((parts) => parts.join(''));
