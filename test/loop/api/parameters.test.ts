import { describe, expect, test } from 'vitest';
import { encodeCursor } from '../../../src/contract/queries.ts';
import { BadParameter, hostsParameters, noParameters } from '../../../src/loop/api/parameters.ts';

const DEFAULTS = { states: [], search: '', limit: 100, after: undefined };
/** One character that takes two places in a string of JavaScript. */
const CABINET = '🗄';

describe('the parameters of a list of hosts', () => {
  test.each([
    ['', {}],
    ['&', {}],
    ['limit=1', { limit: 1 }],
    ['limit=500', { limit: 500 }],
    ['limit=0500', { limit: 500 }],
    ['&limit=2&&search=a&', { limit: 2, search: 'a' }],
    ['search=', { search: '' }],
    ['search=a=b', { search: 'a=b' }],
    ['search=%3D%26%25', { search: '=&%' }],
    ['se%61rch=x&st%61te=ok', { search: 'x', states: ['ok'] }],
    ['state=ok&search=x&state=failed', { search: 'x', states: ['ok', 'failed'] }],
    [`search=${CABINET.repeat(255)}`, { search: CABINET.repeat(255) }],
  ])('%j', (text, parameters) => {
    expect(hostsParameters(text)).toEqual({ ...DEFAULTS, ...parameters });
  });

  test.each([
    [`search=${CABINET.repeat(256)}`, 'search: must have at most 255 characters, not 256'],
    ['limit=00001', 'limit: must be a whole number from 1 to 500, not "00001"'],
    ['limit=0x10', 'limit: must be a whole number from 1 to 500, not "0x10"'],
    ['limit=+5', 'limit: must be a whole number from 1 to 500, not " 5"'],
    ['limit=5&limit=', 'limit: must be given only once'],
    ['=x', 'unknown parameter ""; known are state, search, limit, after'],
    ['search=a&&search=b', 'search: must be given only once'],
    ['search=a&searc=b', 'unknown parameter "searc"; known are state, search, limit, after'],
  ])('%j is wrong', (text, message) => {
    expect(() => hostsParameters(text)).toThrow(BadParameter);
    expect(() => hostsParameters(text)).toThrow(new Error(message));
  });

  test('a place in the list can be given once', () => {
    const cursor = encodeCursor({ rank: 1, host: 'web', hostId: '01JD8Z5N3V9Q4R7T2W6X8Y0A1B' });
    expect(hostsParameters(`after=${cursor}`).after).toMatchObject({ host: 'web' });
    expect(() => hostsParameters(`after=${cursor}&after=${cursor}`)).toThrow(/^after: .* once$/);
  });
});

describe('a message about a parameter', () => {
  const long = 'x'.repeat(10_000);

  test.each([
    ['a state', () => hostsParameters(`state=${long}`)],
    ['a limit', () => hostsParameters(`limit=${long}`)],
    ['a place in the list', () => hostsParameters(`after=${long}`)],
    ['an unknown name', () => hostsParameters(`${long}=1`)],
    ['a name without a value', () => hostsParameters(long)],
    ['wrong encoding', () => hostsParameters(`search=%${long}`)],
    ['the name of a value in the wrong encoding', () => hostsParameters(`${long}=%`)],
    ['a request that takes none', () => noParameters(`${long}=1`)],
  ])('shows no more than the start of it: %s', (_, parse) => {
    expect(parse).toThrow(/x{20}…/);
    expect(parse).toThrow(expect.objectContaining({ message: expect.not.stringMatching(/x{81}/) }));
  });
});
