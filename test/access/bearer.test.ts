import { describe, expect, it } from 'vitest';
import { bearerToken, isSendableToken, SecretToken } from '../../src/access/bearer.ts';

describe('bearerToken', () => {
  it.each([
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['BEARER abc', 'abc'],
    ['bEaReR abc', 'abc'],
    ['Bearer   abc', 'abc'],
    ['Bearer abc  ', 'abc'],
    ['Bearer a.b-c_d~e+f/g==', 'a.b-c_d~e+f/g=='],
    ['Bearer bearer', 'bearer'],
  ])('finds the token in %j', (header, token) => {
    expect(bearerToken(header)).toBe(token);
  });

  it.each([
    '',
    'abc',
    'Bearer',
    'Bearer ',
    'Bearerabc',
    'Bearer:abc',
    'Bearer=abc',
    'Bearer\tabc',
    'Bearer abc def',
    // Two headers joined: which of them counts would be anybody's guess.
    'Bearer abc, Bearer def',
    'Basic abc',
    'Basic Bearer abc',
    'XBearer abc',
    'Token abc',
  ])('finds none in %j', (header) => {
    expect(bearerToken(header)).toBeUndefined();
  });
});

describe('SecretToken', () => {
  const secret = new SecretToken('s3cret');

  it('knows its own token', () => {
    expect(secret.matches('s3cret')).toBe(true);
  });

  it.each([
    '',
    's',
    's3cre',
    's3cret ',
    's3cret\0',
    's3crets',
    'S3CRET',
    'S3cret',
    'x'.repeat(9000),
  ])('refuses %j, also of another length', (token) => {
    expect(secret.matches(token)).toBe(false);
  });

  it('refuses thousands of others: it is the whole digest that is compared', () => {
    const others = Array.from({ length: 5000 }, (_, number) => `s3cret${number}`);
    expect(others.filter((token) => secret.matches(token))).toEqual([]);
  });

  it('refuses a request without a token', () => {
    expect(secret.matches(undefined)).toBe(false);
  });

  it.each(['', ' ', 'a b', 'a\n', 'tab\t', 'ünï', '\x7f', '\0'])(
    'is never made of %j, which no header can carry',
    (token) => {
      expect(isSendableToken(token)).toBe(false);
      expect(() => new SecretToken(token)).toThrow(
        expect.objectContaining({ code: 'invalid_settings' }),
      );
    },
  );

  it('does not quote a token that it refuses', () => {
    expect(() => new SecretToken('hunter 2')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter') }),
    );
  });

  it('shows nothing of the token when it is logged', () => {
    expect(JSON.stringify(secret)).toBe('{}');
  });
});
