import { expect, it } from 'vitest';
import { RmError } from '../../../src/errors.ts';
import {
  DatabaseError,
  failureOf,
  isDuplicate,
} from '../../../src/store-thread/postgres/database-error.ts';

// https://www.postgresql.org/docs/current/errcodes-appendix.html
it.each([
  ['40001', 'locked'], // serialization_failure
  ['40P01', 'locked'], // deadlock_detected
  ['22003', 'operation'], // numeric_value_out_of_range
  ['23505', 'operation'], // unique_violation
  ['53100', 'unavailable'], // disk_full
  ['57P01', 'unavailable'], // admin_shutdown
  ['25006', 'unavailable'], // read_only_sql_transaction
  ['42501', 'unavailable'], // insufficient_privilege
  [undefined, 'unavailable'], // the connection was lost
])('an error of PostgreSQL with the state %s means: %s', (state, kind) => {
  expect(failureOf(new DatabaseError('no', state))).toEqual({
    kind,
    code: 'database_failed',
    message: 'PostgreSQL: no',
    isUncertain: false,
  });
});

it('a commit without an answer is uncertain', () => {
  const failure = failureOf(new DatabaseError('lost', undefined, true));
  expect(failure).toMatchObject({
    kind: 'unavailable',
    isUncertain: true,
    message: 'PostgreSQL: lost; the change may have been stored nevertheless',
  });
});

it('an error of this program keeps its code and its message', () => {
  expect(failureOf(new RmError('invalid_host', 'host: no'))).toMatchObject({
    kind: 'operation',
    code: 'invalid_host',
    message: 'host: no',
  });
});

it('a row that exists is told from other violated constraints', () => {
  expect(isDuplicate(new DatabaseError('x', '23505'))).toBe(true);
  expect(isDuplicate(new DatabaseError('x', '23514'))).toBe(false);
  expect(isDuplicate(new DatabaseError('x', undefined))).toBe(false);
  expect(isDuplicate(Object.assign(new Error('x'), { state: '23505' }))).toBe(false);
});
