import { describe, expect, it } from 'vitest';
import { checkAll, errorCode, RmError } from '../src/errors.ts';

describe('several checks', () => {
  const wrong = (text: string) => () => {
    throw new RmError('invalid_settings', text);
  };

  it('return what each returns', () => {
    expect(checkAll([() => 1, () => undefined, () => 'a'])).toEqual([1, undefined, 'a']);
  });

  it('are all made, and what is wrong is told in one error', () => {
    expect(() => checkAll([wrong('a: no'), () => 1, wrong('b: no')])).toThrow(
      expect.objectContaining({ code: 'invalid_settings', message: 'a: no\nb: no' }),
    );
  });

  it('do not hide a bug of this program behind the settings', () => {
    const bug = new TypeError('not a function');
    const buggy = () => {
      throw bug;
    };
    expect(() => checkAll([wrong('a: no'), buggy])).toThrow(bug);
  });
});

it.each([
  [new RmError('closed', 'x'), 'closed'],
  // As it is after it was sent to another thread.
  [{ code: 'closed', message: 'x' }, 'closed'],
  [Object.assign(new Error('x'), { code: 'ENOENT' }), undefined],
  [{ code: 'toString' }, undefined],
  [{ code: 7 }, undefined],
  [new Error('x'), undefined],
  ['closed', undefined],
  [null, undefined],
])('the code of %j is %j', (error, code) => {
  expect(errorCode(error)).toBe(code);
});
