import { describe, expect, it } from 'vitest';
import {
  addressFromBytes,
  Networks,
  parseAddress,
  parseNetwork,
} from '../../src/access/networks.ts';
import { mapped, v4, v6 } from './peers.ts';

const UNREADABLE = [
  '',
  ' ',
  ' 10.0.0.1',
  '10.0.0.1 ',
  '10.0.0.1\n',
  'localhost',
  'unknown',
  '_hidden',
  // What a proxy adds when it means well.
  '10.0.0.1:8080',
  '[2001:db8::1]',
  '[2001:db8::1]:8080',
  // Forms of inet_aton, which name another address to every second reader.
  '010.0.0.1',
  '0x0a.0.0.1',
  '0xa000001',
  '167772161',
  '10.1',
  '10.0.1',
  '10.0.0',
  '10.0.0.1.1',
  '10.0.0.256',
  '-1.0.0.1',
  '10.0.0.1.',
  '١٠.0.0.1',
  // Zone ids name an interface of another machine.
  'fe80::1%eth0',
  'fe80::1%1',
  '::ffff:10.0.0.1%1',
  ':',
  ':::',
  '1::2::3',
  '2001:db8:::1',
  '2001:db8::12345',
  '2001:db8::g',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  ':1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:',
  '::1:',
  '::1\n',
  '::ffff:10.0.0',
  '::ffff:10.0.0.256',
];

describe('parseAddress', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:0db8::0001', '2001:db8::1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
  ])('reads %s', (text, normal) => {
    expect(String(parseAddress(text))).toBe(normal);
  });

  it.each([
    '::ffff:10.0.0.1',
    '::FFFF:10.0.0.1',
    '::ffff:a00:1',
    '0:0:0:0:0:ffff:10.0.0.1',
    '0:0:0:0:0:ffff:0a00:0001',
  ])('takes %s for the IPv4 address it maps', (text) => {
    expect(String(parseAddress(text))).toBe('10.0.0.1');
  });

  it.each(UNREADABLE)('does not read %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  // ipaddr.js takes its lenient forms also in the dotted tail of an IPv6 address.
  it.each(['::ffff:010.0.0.1', '::ffff:0x0a.0.0.1', '::ffff:08.0.0.1', '::010.0.0.1'])(
    'does not read the octal or hexadecimal tail of %s',
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );

  it('does not take an IPv4-compatible address for an IPv4-mapped one', () => {
    expect(String(parseAddress('::10.0.0.1'))).not.toBe(String(parseAddress('::ffff:10.0.0.1')));
  });
});

describe('addressFromBytes', () => {
  it.each([
    ['IPv4', v4('10.0.0.1'), '10.0.0.1'],
    ['IPv6', v6('20010db8000000000000000000000001'), '2001:db8::1'],
    ['IPv4 on an IPv6 socket', mapped('10.0.0.1'), '10.0.0.1'],
  ])('reads %s', (_, bytes, normal) => {
    expect(String(addressFromBytes(bytes))).toBe(normal);
  });

  it.each([0, 1, 3, 5, 15, 17])('knows no address of %i bytes', (length) => {
    expect(addressFromBytes(new Uint8Array(length))).toBeUndefined();
  });
});

describe('parseNetwork', () => {
  it.each([
    ['10.0.0.0/8', '10.0.0.0', 8],
    ['0.0.0.0/0', '0.0.0.0', 0],
    ['10.0.0.1/32', '10.0.0.1', 32],
    ['2001:db8::/32', '2001:db8::', 32],
    ['::/0', '::', 0],
    ['2001:db8::1/128', '2001:db8::1', 128],
    ['::ffff:10.0.0.0/104', '10.0.0.0', 8],
    ['::ffff:0:0/96', '0.0.0.0', 0],
    ['::ffff:10.0.0.1/128', '10.0.0.1', 32],
  ])('reads %s', (text, address, prefix) => {
    expect(parseNetwork(text)?.map(String)).toEqual([address, String(prefix)]);
  });

  it.each([
    ['10.0.0.1', 32],
    ['2001:db8::1', 128],
    ['::ffff:10.0.0.1', 32],
  ])('takes the bare address %s for a network of its own', (text, prefix) => {
    expect(parseNetwork(text)?.[1]).toBe(prefix);
  });

  it.each([
    ...UNREADABLE,
    ...UNREADABLE.map((address) => `${address}/8`),
    '/8',
    '/',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/+8',
    '10.0.0.0/ 8',
    '10.0.0.0/8 ',
    '10.0.0.0/08',
    '10.0.0.0/8.0',
    '10.0.0.0/0x8',
    '10.0.0.0/1e1',
    '10.0.0.0/eight',
    '10.0.0.0/8/8',
    '10.0.0.0/255.0.0.0',
    '10/8',
    '2001:db8::/129',
    '2001:db8::/1000',
    // Wider than the mapped addresses: half IPv4, half not.
    '::ffff:0:0/95',
    '::ffff:10.0.0.0/8',
    '10.0.0.0/8,10.1.0.0/16',
  ])('does not read %j', (text) => {
    expect(parseNetwork(text)).toBeUndefined();
  });
});

describe('Networks', () => {
  it.each([
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['10.0.0.0/8', '9.255.255.255', false],
    ['192.168.4.0/22', '192.168.7.255', true],
    ['192.168.4.0/22', '192.168.8.0', false],
    ['10.1.2.3/8', '10.0.0.1', true], // host bits of a rule do not count
    ['10.0.0.1', '10.0.0.1', true],
    ['10.0.0.1', '10.0.0.2', false],
    ['0.0.0.0/0', '203.0.113.1', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::', false],
    ['2001:db8::/33', '2001:db8:8000::', false],
    ['2001:db8::1', '2001:db8::1', true],
    ['2001:db8::1', '2001:db8::2', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '10.0.0.1', false],
    ['::/0', '::ffff:10.0.0.1', false],
    ['10.0.0.0/8', '::ffff:10.0.0.1', true],
    ['::ffff:10.0.0.0/104', '10.9.9.9', true],
    ['::ffff:10.0.0.0/104', '11.0.0.1', false],
    ['::ffff:10.0.0.0/104', '::ffff:10.9.9.9', true],
    ['::ffff:0:0/96', '203.0.113.1', true],
    ['::ffff:0:0/96', '2001:db8::1', false],
  ])('%s, %s: %s', (rule, text, inside) => {
    const address = parseAddress(text);
    if (address === undefined) throw new Error(`${text} is no address`);
    expect(new Networks([rule], 'rule').contains(address)).toBe(inside);
  });

  it('holds the addresses of all its networks', () => {
    const networks = new Networks(['10.0.0.0/8', '2001:db8::/32', '192.0.2.1'], 'rules');
    const inside = (text: string) => {
      const address = parseAddress(text);
      return address !== undefined && networks.contains(address);
    };
    expect(['10.0.0.1', '2001:db8::1', '192.0.2.1'].map(inside)).toEqual([true, true, true]);
    expect(['192.0.2.2', '2001:db9::1'].map(inside)).toEqual([false, false]);
  });

  it('names the setting and the entry that it cannot read', () => {
    expect(() => new Networks(['10.0.0.0/8', '10.0.0.0/33'], 'trustedCidrs')).toThrow(
      expect.objectContaining({
        code: 'invalid_settings',
        message: expect.stringMatching(/^trustedCidrs: must be .* not 10\.0\.0\.0\/33$/),
      }),
    );
  });
});
