const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** The ULID with number `n`. ULIDs sort like their numbers. */
export function ulidOf(n: number): string {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`no ULID number ${n}`);
  let digits = '';
  for (let rest = n; digits.length < 16; rest = Math.floor(rest / 32)) {
    digits = DIGITS.charAt(rest % 32) + digits;
  }
  return `01J8ZQ4X3N${digits}`;
}
