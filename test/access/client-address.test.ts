import { describe, expect, it, vi } from 'vitest';
import { clientAddress } from '../../src/access/client-address.ts';
import { Networks } from '../../src/access/networks.ts';
import { mapped, UNIX_SOCKET, v4, v6 } from './peers.ts';

const PROXIES = new Networks(['10.0.0.0/8', 'fd00::/8'], 'trustedProxies');
const PROXY = v4('10.0.0.1');

function client(peer: Uint8Array, forwardedFor: string | undefined): string | undefined {
  return clientAddress(peer, () => forwardedFor, PROXIES)?.toString();
}

describe('behind a trusted proxy', () => {
  it.each([
    ['one hop', '203.0.113.7', '203.0.113.7'],
    ['a proxy behind the proxy', '203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['a chain of proxies', '203.0.113.7,10.0.0.3,fd00::3,10.0.0.2', '203.0.113.7'],
    ['what the client sent itself', '10.9.9.9, 203.0.113.7', '203.0.113.7'],
    ['a trusted address in front of it', '198.51.100.1, 10.0.0.9, 203.0.113.7', '203.0.113.7'],
    ['an untrusted hop between proxies', '198.51.100.1, 203.0.113.7, 10.0.0.2', '203.0.113.7'],
    ['only trusted hops: the farthest', '10.0.0.4, 10.0.0.3, 10.0.0.2', '10.0.0.4'],
    ['spaces and tabs', ' \t203.0.113.7 \t, \t10.0.0.2\t ', '203.0.113.7'],
    ['IPv6', '2001:db8::7, fd00::2', '2001:db8::7'],
    ['IPv4-mapped hops', '::ffff:203.0.113.7, ::ffff:10.0.0.2', '203.0.113.7'],
    ['a port', '203.0.113.7:51234', '203.0.113.7'],
    ['IPv6 with a port', '[2001:db8::7]:443', '2001:db8::7'],
    ['IPv6 in brackets without a port', '[2001:db8::7]', '2001:db8::7'],
    ['IPv4-mapped with a port', '[::ffff:203.0.113.7]:51234', '203.0.113.7'],
    ['the lowest port', '203.0.113.7:0', '203.0.113.7'],
    ['the highest port', '203.0.113.7:65535', '203.0.113.7'],
    // Four digits after the last colon are as much of the address as those before.
    ['IPv6 that only looks as if it had a port', '2001:db8::7:8080', '2001:db8::7:8080'],
    ['proxies with ports', '203.0.113.7:1, 10.0.0.3:2, [fd00::3]:3, 10.0.0.2:4', '203.0.113.7'],
  ])('%s', (_, forwardedFor, expected) => {
    expect(client(PROXY, forwardedFor)).toBe(expected);
  });

  it.each([
    ['IPv4', PROXY],
    ['IPv4 on an IPv6 socket', mapped('10.0.0.1')],
    ['IPv6', v6('fd000000000000000000000000000001')],
  ])('the proxy itself may come by %s', (_, peer) => {
    expect(client(peer, '203.0.113.7')).toBe('203.0.113.7');
  });

  it('without the header, the proxy is the client', () => {
    expect(client(PROXY, undefined)).toBe('10.0.0.1');
  });

  const UNREADABLE = [
    '',
    ' ',
    'unknown',
    '_hidden',
    '203.0.113.7:',
    '203.0.113.7:65536',
    '203.0.113.7:100000',
    '203.0.113.7:000080',
    '203.0.113.7:-1',
    '203.0.113.7:http',
    '203.0.113.7:80:80',
    '203.0.113.7 :80',
    ':80',
    '[203.0.113.7]',
    '[203.0.113.7]:80',
    '[2001:db8::7]:',
    '[2001:db8::7]:65536',
    '[2001:db8::7]443',
    '[2001:db8::7',
    '2001:db8::7]',
    '[[2001:db8::7]]',
    '[2001:db8::7]]:443',
    '[]',
    '[]:443',
    '[fe80::7%eth0]:443',
    '[fd00::2',
    '2001:db8::7:',
    '2001:db8::7:65536',
    '"203.0.113.7"',
    '"[2001:db8::7]:443"',
    'for=203.0.113.7',
    '0313.0.113.7',
    '0xcb.0.113.7',
    '203.113.7',
    '3405803783',
    '203.0.113.7;',
    '203.0.113.7 10.0.0.2',
    'fe80::7%eth0',
    '203.0.113.0/24',
  ];

  it.each(UNREADABLE)('nobody knows who asks if the nearest hop is %j', (hop) => {
    expect(client(PROXY, hop)).toBeUndefined();
    expect(client(PROXY, `203.0.113.7,${hop}`)).toBeUndefined();
  });

  it.each(UNREADABLE)('nobody knows who asks if the hop behind a proxy is %j', (hop) => {
    expect(client(PROXY, `${hop},10.0.0.2`)).toBeUndefined();
    expect(client(PROXY, `203.0.113.7,${hop},10.0.0.3,10.0.0.2`)).toBeUndefined();
  });

  it.each(UNREADABLE)('%j to the left of the client is never looked at', (hop) => {
    expect(client(PROXY, `${hop},203.0.113.7`)).toBe('203.0.113.7');
    expect(client(PROXY, `${hop},203.0.113.7,10.0.0.2`)).toBe('203.0.113.7');
  });
});

describe('behind nobody trusted', () => {
  it.each(['10.0.0.2', '198.51.100.1', '198.51.100.1, 10.0.0.2', 'garbage', ''])(
    'the header %j changes nothing',
    (forwardedFor) => {
      expect(client(v4('203.0.113.7'), forwardedFor)).toBe('203.0.113.7');
    },
  );

  it('the header is not even read', () => {
    const forwardedFor = vi.fn(() => '10.0.0.2');
    clientAddress(v4('203.0.113.7'), forwardedFor, PROXIES);
    expect(forwardedFor).not.toHaveBeenCalled();
  });

  it('no proxies configured means that none is trusted', () => {
    const nobody = new Networks([], 'trustedProxies');
    expect(String(clientAddress(PROXY, () => '203.0.113.7', nobody))).toBe('10.0.0.1');
  });

  it('a Unix socket has no address, whatever it forwards', () => {
    expect(client(UNIX_SOCKET, undefined)).toBeUndefined();
    expect(client(UNIX_SOCKET, '10.0.0.2')).toBeUndefined();
  });
});
