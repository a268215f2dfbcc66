import { describe, expect, it } from 'vitest';
import {
  asLabel,
  checkHostName,
  checkHostNames,
  hostNameError,
  labelError,
} from '../../src/contract/host-name.ts';
import { BAD_NAMES } from '../support/bad-names.ts';

describe('the name of a host', () => {
  it.each(BAD_NAMES.map((name) => [name]))('is not %j', (name) => {
    expect(hostNameError(name)).toMatch(/^must not /);
    expect(() => checkHostName(name)).toThrow(
      expect.objectContaining({
        code: 'invalid_host',
        message: expect.stringMatching(/^host name: /),
      }),
    );
  });

  it.each([
    ['', 'must have 1 to 255 characters, not 0'],
    ['a'.repeat(256), 'must have 1 to 255 characters, not 256'],
    ['🗄'.repeat(256), 'must have 1 to 255 characters, not 256'],
  ])('has 1 to 255 characters: %#', (name, error) => {
    expect(hostNameError(name)).toBe(error);
  });

  it.each(['a', '🗄'.repeat(255), 'büro-東京', 'دمشق', 'ירושלים', 'a b', '\u00a0a', '\\"`$'])(
    'may be %j',
    (name) => {
      expect(hostNameError(name)).toBeUndefined();
      expect(asLabel(name)).toBe(name);
    },
  );
});

describe('what an agent says about itself', () => {
  it('may be empty', () => {
    expect(labelError('')).toBeUndefined();
  });

  it.each(BAD_NAMES.map((name) => [name]))('is shown in a safe form: %j', (text) => {
    expect(labelError(asLabel(text))).toBeUndefined();
  });
});

it('every unsafe character of a label is replaced, not only the first', () => {
  expect(asLabel('a\u0000b\u202ec\nd')).toBe('a\ufffdb\ufffdc\ufffdd');
});

it('of several names the first wrong one is told by its number and its first 40 characters', () => {
  const messageOf = (names: string[]) => {
    try {
      checkHostNames(names);
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  };
  expect(messageOf(['web', 'mail'])).toBeUndefined();
  expect(messageOf(['a\n'])).toBe('host name: must not contain control characters');
  expect(messageOf(['web', 'a\n', 'b\n'])).toBe(
    'host name 2 ("a\\n"): must not contain control characters',
  );
  const long = '🗄'.repeat(300);
  expect(messageOf(['web', long])).toBe(
    `host name 2 ("${'🗄'.repeat(40)}"…): must have 1 to 255 characters, not 300`,
  );
});
