import { describe, expect, it } from 'vitest';
import {
  type AccessRules,
  compileGate,
  type Gate,
  type GateRequest,
} from '../../src/access/gate.ts';
import { mapped, UNIX_SOCKET, v4, v6 } from './peers.ts';

const TOKEN = 's3cret';

function gate(rules: AccessRules): Gate {
  const compiled = compileGate(rules);
  if (compiled === undefined) throw new Error('these rules set no gate');
  return compiled;
}

function request(parts: {
  authorization?: string;
  peer?: Uint8Array;
  forwardedFor?: string;
}): GateRequest {
  return {
    authorization: parts.authorization ?? '',
    peer: parts.peer ?? v4('203.0.113.7'),
    forwardedFor: () => parts.forwardedFor,
  };
}

describe('no gate, and so no endpoint', () => {
  it.each<[string, AccessRules]>([
    ['no rules', {}],
    ['rules that are all unset', { token: undefined, trustedCidrs: undefined }],
    ['an empty list of networks', { trustedCidrs: [] }],
    ['trusted proxies alone', { trustedProxies: ['10.0.0.0/8'] }],
  ])('%s', (_, rules) => {
    expect(compileGate(rules)).toBeUndefined();
  });
});

describe('rules that are none', () => {
  it.each<[string, unknown]>([
    ['gates', undefined],
    ['gates', null],
    ['gates', 'secret'],
    ['token', { token: null }],
    ['token', { token: 5 }],
    ['trustedCidrs', { trustedCidrs: [5] }],
    ['trustedProxies', { trustedProxies: ['x'] }],
  ])('%s: %j', (setting, rules) => {
    expect(() => compileGate(rules as AccessRules)).toThrow(
      expect.objectContaining({
        code: 'invalid_settings',
        message: expect.stringContaining(`${setting}: must be `),
      }),
    );
  });
});

describe('the token gate', () => {
  it.each([
    ['right', 'Bearer s3cret', true],
    ['right, scheme in lower case', 'bearer s3cret', true],
    ['right, scheme in upper case', 'BEARER s3cret', true],
    ['right, several spaces', 'Bearer   s3cret ', true],
    ['missing', '', false],
    ['empty', 'Bearer ', false],
    ['wrong', 'Bearer s3creT', false],
    ['shorter', 'Bearer s3cre', false],
    ['longer', 'Bearer s3cret0', false],
    ['much longer', `Bearer ${TOKEN.repeat(500)}`, false],
    ['right, no scheme', 's3cret', false],
    ['right, other scheme', 'Basic s3cret', false],
    ['right, twice', 'Bearer s3cret s3cret', false],
    ['right, in a list', 'Bearer s3cret, Bearer other', false],
    ['as the user of Basic', `Basic ${Buffer.from('s3cret:').toString('base64')}`, false],
  ])('%s: %j', (_, authorization, admitted) => {
    expect(gate({ token: TOKEN }).admits(request({ authorization }))).toBe(admitted);
  });

  it('asks nobody for an address', () => {
    const fromUnixSocket = request({ authorization: 'Bearer s3cret', peer: UNIX_SOCKET });
    expect(gate({ token: TOKEN }).admits(fromUnixSocket)).toBe(true);
  });

  it('wants a token', () => {
    expect(gate({ token: TOKEN }).wantsToken).toBe(true);
    expect(gate({ token: TOKEN, trustedCidrs: ['10.0.0.0/8'] }).wantsToken).toBe(true);
  });

  it('is not opened by an empty token', () => {
    expect(() => compileGate({ token: '' })).toThrow(
      expect.objectContaining({ code: 'invalid_settings' }),
    );
  });
});

describe('the CIDR gate', () => {
  const RULES = ['192.0.2.0/24', '198.51.100.1', '2001:db8::/32', '::ffff:172.16.0.0/108'];

  it.each([
    ['IPv4 inside', v4('192.0.2.255'), true],
    ['IPv4 outside', v4('192.0.3.0'), false],
    ['a bare address', v4('198.51.100.1'), true],
    ['the one next to it', v4('198.51.100.2'), false],
    ['IPv6 inside', v6('20010db8ffff00000000000000000001'), true],
    ['IPv6 outside', v6('20010db9000000000000000000000001'), false],
    ['an IPv4-mapped peer inside', mapped('192.0.2.1'), true],
    ['an IPv4-mapped peer outside', mapped('203.0.113.7'), false],
    ['IPv4 inside an IPv4-mapped rule', v4('172.31.255.255'), true],
    ['IPv4 outside an IPv4-mapped rule', v4('172.32.0.0'), false],
    ['an IPv4-mapped peer inside an IPv4-mapped rule', mapped('172.16.0.1'), true],
    ['a Unix socket', UNIX_SOCKET, false],
  ])('%s', (_, peer, admitted) => {
    expect(gate({ trustedCidrs: RULES }).admits(request({ peer }))).toBe(admitted);
  });

  it.each(['0.0.0.0/0', '::/0', '::ffff:0:0/96'])('%s lets no Unix socket in', (rule) => {
    expect(gate({ trustedCidrs: [rule] }).admits(request({ peer: UNIX_SOCKET }))).toBe(false);
  });

  it('wants no token', () => {
    expect(gate({ trustedCidrs: RULES }).wantsToken).toBe(false);
  });

  it('refuses rules that it cannot read, by name', () => {
    expect(() => compileGate({ trustedCidrs: ['10.0.0.0/33'] })).toThrow(/^trustedCidrs: /);
    expect(() => compileGate({ token: TOKEN, trustedProxies: ['proxy.example'] })).toThrow(
      /^trustedProxies: /,
    );
  });

  it('keeps to the rules it was compiled from', () => {
    const trustedCidrs = ['192.0.2.0/24'];
    const compiled = gate({ trustedCidrs });
    trustedCidrs[0] = '0.0.0.0/0';
    expect(compiled.admits(request({ peer: v4('203.0.113.7') }))).toBe(false);
  });
});

describe('both gates', () => {
  const both = gate({ token: TOKEN, trustedCidrs: ['192.0.2.0/24'] });
  const [RIGHT, WRONG] = ['Bearer s3cret', 'Bearer wrong'];
  const [INSIDE, OUTSIDE] = [v4('192.0.2.1'), v4('203.0.113.7')];

  it.each([
    ['right token, inside', RIGHT, INSIDE, true],
    ['right token, outside', RIGHT, OUTSIDE, false],
    ['wrong token, inside', WRONG, INSIDE, false],
    ['wrong token, outside', WRONG, OUTSIDE, false],
    ['no token, inside', '', INSIDE, false],
    ['right token, Unix socket', RIGHT, UNIX_SOCKET, false],
  ])('%s', (_, authorization, peer, admitted) => {
    expect(both.admits(request({ authorization, peer }))).toBe(admitted);
  });
});

describe('the CIDR gate behind proxies', () => {
  const behindProxies = gate({
    trustedCidrs: ['192.0.2.0/24'],
    trustedProxies: ['10.0.0.0/8'],
  });
  const PROXY = v4('10.0.0.1');

  it.each([
    ['a client inside', PROXY, '192.0.2.1', true],
    ['a client outside', PROXY, '203.0.113.7', false],
    ['a client inside that wrote some of it itself', PROXY, 'garbage, 192.0.2.1', true],
    ['a client outside that claims to be inside', PROXY, '192.0.2.1, 203.0.113.7', false],
    ['the same, through two proxies', PROXY, '192.0.2.1, 203.0.113.7, 10.0.0.2', false],
    // Two header lines reach the gate joined by a comma, the nearest proxy's last.
    ['a header line of its own from the client', PROXY, '192.0.2.1,203.0.113.7', false],
    ['an unreadable client', PROXY, 'unknown', false],
    ['the proxy itself', PROXY, undefined, false],
    ['a peer outside that forwards', v4('203.0.113.7'), '192.0.2.1', false],
    ['a peer inside that forwards', v4('192.0.2.1'), '203.0.113.7', true],
    ['a Unix socket that forwards', UNIX_SOCKET, '192.0.2.1', false],
  ])('%s', (_, peer, forwardedFor, admitted) => {
    const asked = request({ peer, ...(forwardedFor !== undefined && { forwardedFor }) });
    expect(behindProxies.admits(asked)).toBe(admitted);
  });
});
