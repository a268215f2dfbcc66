import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type AccessRules,
  compileGate,
  type Gate,
  type GateRequest,
  proxiesInTrustedNetworks,
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

function admits(gate: Gate, asked: GateRequest): boolean {
  return gate.refusal(asked) === undefined;
}

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
    expect(admits(gate({ token: TOKEN }), request({ authorization }))).toBe(admitted);
  });

  it('asks nobody for an address', () => {
    const fromUnixSocket = request({ authorization: 'Bearer s3cret', peer: UNIX_SOCKET });
    expect(admits(gate({ token: TOKEN }), fromUnixSocket)).toBe(true);
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
    expect(admits(gate({ trustedCidrs: RULES }), request({ peer }))).toBe(admitted);
  });

  it.each(['0.0.0.0/0', '::/0', '::ffff:0:0/96'])('%s lets no Unix socket in', (rule) => {
    expect(admits(gate({ trustedCidrs: [rule] }), request({ peer: UNIX_SOCKET }))).toBe(false);
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
    expect(admits(compiled, request({ peer: v4('203.0.113.7') }))).toBe(false);
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
    expect(admits(both, request({ authorization, peer }))).toBe(admitted);
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
    expect(admits(behindProxies, asked)).toBe(admitted);
  });
});

describe('a refusal tells which gate it was, and who asked', () => {
  const RULES = { trustedCidrs: ['192.0.2.0/24'], trustedProxies: ['10.0.0.0/8'] };
  const token = gate({ token: TOKEN, trustedProxies: RULES.trustedProxies });
  const network = gate(RULES);
  const both = gate({ token: TOKEN, ...RULES });
  const [RIGHT, WRONG] = ['Bearer s3cret', 'Bearer hunter2'];
  const [INSIDE, OUTSIDE, PROXY] = [v4('192.0.2.1'), v4('203.0.113.7'), v4('10.0.0.1')];

  it.each<[string, Gate, Parameters<typeof request>[0], string, string]>([
    ['a wrong token', token, { authorization: WRONG, peer: INSIDE }, 'token', '192.0.2.1'],
    ['no token', token, { peer: INSIDE }, 'token', '192.0.2.1'],
    [
      'an address outside',
      network,
      { authorization: RIGHT, peer: OUTSIDE },
      'network',
      '203.0.113.7',
    ],
    ['of both, the token', both, { authorization: WRONG, peer: INSIDE }, 'token', '192.0.2.1'],
    [
      'of both, the address',
      both,
      { authorization: RIGHT, peer: OUTSIDE },
      'network',
      '203.0.113.7',
    ],
    [
      'of both, both',
      both,
      { authorization: WRONG, peer: OUTSIDE },
      'token and network',
      '203.0.113.7',
    ],
    [
      'IPv6',
      both,
      { peer: v6('20010db8000000000000000000000007') },
      'token and network',
      '2001:db8::7',
    ],
    ['an IPv4-mapped peer', both, { peer: mapped('192.0.2.1') }, 'token', '192.0.2.1'],
    [
      'the client and not its proxy',
      both,
      { authorization: RIGHT, peer: PROXY, forwardedFor: '203.0.113.7:51234, 10.0.0.2' },
      'network',
      '203.0.113.7',
    ],
    [
      'also where the token alone is wrong',
      token,
      { peer: PROXY, forwardedFor: '203.0.113.7' },
      'token',
      '203.0.113.7',
    ],
    ['a proxy that forwards nothing', both, { peer: PROXY }, 'token and network', '10.0.0.1'],
    [
      'an unreadable client',
      both,
      { authorization: RIGHT, peer: PROXY, forwardedFor: '192.0.2.1, hunter2' },
      'network',
      'unknown',
    ],
    [
      'what the client wrote itself',
      both,
      { authorization: RIGHT, peer: OUTSIDE, forwardedFor: '192.0.2.1' },
      'network',
      '203.0.113.7',
    ],
    ['a Unix socket', both, { authorization: RIGHT, peer: UNIX_SOCKET }, 'network', 'unknown'],
  ])('%s', (_, gate, asked, which, client) => {
    expect(gate.refusal(request(asked))).toEqual({ gate: which, client });
  });
});

describe('a replaced token', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  const OVERLAP_MS = 50;
  const admitsToken = (gate: Gate, token: string) =>
    admits(gate, request({ authorization: `Bearer ${token}` }));
  /** Of all tokens that these tests know, those that are good. */
  const good = (gate: Gate) =>
    [TOKEN, 'second', 'third'].filter((token) => admitsToken(gate, token));

  it('is good beside the new one for the overlap, and not a moment longer', () => {
    const compiled = gate({ token: TOKEN });
    expect(good(compiled)).toEqual([TOKEN]);
    compiled.replaceToken('second', OVERLAP_MS);
    expect(good(compiled)).toEqual([TOKEN, 'second']);
    vi.advanceTimersByTime(OVERLAP_MS - 1);
    expect(good(compiled)).toEqual([TOKEN, 'second']);
    vi.advanceTimersByTime(1);
    expect(good(compiled)).toEqual(['second']);
    vi.advanceTimersByTime(1e9);
    expect(good(compiled)).toEqual(['second']);
  });

  it('is not good for longer because it was replaced once more', () => {
    const compiled = gate({ token: TOKEN });
    compiled.replaceToken('second', OVERLAP_MS);
    vi.advanceTimersByTime(OVERLAP_MS - 1);
    compiled.replaceToken('third', OVERLAP_MS);
    expect(good(compiled)).toEqual([TOKEN, 'second', 'third']);
    vi.advanceTimersByTime(1);
    expect(good(compiled)).toEqual(['second', 'third']);
  });

  it('is dead early, the oldest first, when there are more than ten within the overlap', () => {
    const compiled = gate({ token: 'token-0' });
    const tokens = Array.from({ length: 15 }, (_, n) => `token-${n}`);
    for (const token of tokens.slice(1)) compiled.replaceToken(token, OVERLAP_MS);
    expect(tokens.filter((token) => admitsToken(compiled, token))).toEqual(tokens.slice(-11));
  });

  it('is dead at once without an overlap', () => {
    const compiled = gate({ token: TOKEN });
    compiled.replaceToken('second', 0);
    expect(good(compiled)).toEqual(['second']);
  });

  it('by an equal one changes nothing: it stays good for ever', () => {
    const compiled = gate({ token: TOKEN });
    compiled.replaceToken(TOKEN, OVERLAP_MS);
    vi.advanceTimersByTime(2 * OVERLAP_MS);
    expect(good(compiled)).toEqual([TOKEN]);
  });

  it('by an equal one neither ends nor lengthens the overlap of the one before', () => {
    const compiled = gate({ token: TOKEN });
    compiled.replaceToken('second', OVERLAP_MS);
    vi.advanceTimersByTime(OVERLAP_MS - 1);
    compiled.replaceToken('second', OVERLAP_MS);
    expect(good(compiled)).toEqual([TOKEN, 'second']);
    vi.advanceTimersByTime(1);
    expect(good(compiled)).toEqual(['second']);
  });

  it('by an equal one, however often, does not end the overlap of the one before early', () => {
    const compiled = gate({ token: TOKEN });
    for (let n = 0; n < 20; n++) compiled.replaceToken('second', OVERLAP_MS);
    expect(good(compiled)).toEqual([TOKEN, 'second']);
  });

  it('that comes back within the overlap is good for ever again', () => {
    const compiled = gate({ token: TOKEN });
    compiled.replaceToken('second', OVERLAP_MS);
    compiled.replaceToken(TOKEN, OVERLAP_MS);
    expect(good(compiled)).toEqual([TOKEN, 'second']);
    vi.advanceTimersByTime(OVERLAP_MS);
    expect(good(compiled)).toEqual([TOKEN]);
  });

  it.each(['', ' ', 'two words', 'ünï', 'new\n', 'x'.repeat(1_025)])(
    'stays if the new one is none: %j',
    (bad) => {
      const compiled = gate({ token: TOKEN });
      expect(() => compiled.replaceToken(bad, OVERLAP_MS)).toThrow(
        expect.objectContaining({ code: 'invalid_settings' }),
      );
      vi.advanceTimersByTime(2 * OVERLAP_MS);
      expect(good(compiled)).toEqual([TOKEN]);
    },
  );

  it('opens nothing to who comes from outside', () => {
    const compiled = gate({ token: TOKEN, trustedCidrs: ['192.0.2.0/24'] });
    compiled.replaceToken('second', OVERLAP_MS);
    const asks = (peer: Uint8Array, token: string) =>
      compiled.refusal(request({ authorization: `Bearer ${token}`, peer }))?.gate;
    for (const token of [TOKEN, 'second']) {
      expect(asks(v4('192.0.2.1'), token)).toBeUndefined();
      expect(asks(v4('203.0.113.7'), token)).toBe('network');
    }
    expect(asks(v4('192.0.2.1'), 'third')).toBe('token');
  });
});

describe('proxies that are trusted clients themselves', () => {
  it.each<[string, readonly string[], readonly string[], readonly string[]]>([
    ['a proxy inside a network', ['10.0.0.0/8'], ['10.0.0.1'], ['10.0.0.1']],
    ['a proxy outside', ['192.0.2.0/24'], ['10.0.0.1'], []],
    ['the very address', ['10.0.0.1'], ['10.0.0.1'], ['10.0.0.1']],
    ['the address next to it', ['10.0.0.2'], ['10.0.0.1'], []],
    ['a network of proxies around a client', ['10.0.0.1'], ['10.0.0.0/8'], ['10.0.0.0/8']],
    ['networks side by side', ['10.0.0.0/9'], ['10.128.0.0/9'], []],
    ['host bits that do not count', ['10.1.2.3/8'], ['10.9.9.9/16'], ['10.9.9.9/16']],
    ['everybody', ['0.0.0.0/0'], ['10.0.0.1', 'fd00::1'], ['10.0.0.1']],
    ['everybody by IPv6', ['::/0'], ['10.0.0.1', 'fd00::1'], ['fd00::1']],
    ['IPv6', ['fd00::/8'], ['fd00::1', 'fe80::1'], ['fd00::1']],
    ['an IPv4-mapped proxy', ['10.0.0.0/8'], ['::ffff:10.0.0.1'], ['::ffff:10.0.0.1']],
    ['an IPv4-mapped network', ['::ffff:10.0.0.0/104'], ['10.0.0.1'], ['10.0.0.1']],
    [
      'all of them, in their order',
      ['192.0.2.0/24', '10.0.0.0/8'],
      ['192.0.2.9', '203.0.113.1', '10.0.0.1'],
      ['192.0.2.9', '10.0.0.1'],
    ],
    ['no networks', [], ['10.0.0.1'], []],
    ['no proxies', ['10.0.0.0/8'], [], []],
  ])('%s', (_, trustedCidrs, trustedProxies, expected) => {
    expect(proxiesInTrustedNetworks({ trustedCidrs, trustedProxies })).toEqual(expected);
  });

  it('are none without rules', () => {
    expect(proxiesInTrustedNetworks({ token: TOKEN })).toEqual([]);
  });
});
