/** Names that no host may have, by one rule for all ways to name one. */
export const BAD_NAMES: readonly string[] = [
  ' ',
  ' \u00a0\u3000',
  'nul \u0000',
  'tab\t',
  'line feed\n',
  'return\r',
  'escape \u001b[31m',
  'delete \u007f',
  'control \u0085',
  'override \u202e',
  'embedding \u202a',
  'isolate \u2066',
  'mark \u200f',
  'arabic mark \u061c',
  'half \ud83d of a pair',
  '\udc00',
];
