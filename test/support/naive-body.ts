import {
  type ExpositionInput,
  expositionParts,
  rowsBound,
  textBound,
  writeHostRows,
} from '../../src/render-thread/exposition.ts';
import { pageTotals, sumTotals } from '../../src/shared/families.ts';
import type { PageCopy } from '../../src/shared/fleet-reader.ts';
import { READING_CELLS } from '../../src/shared/server-families.ts';
import { COPY_SLACK_BYTES, TextWriter } from '../../src/shared/text-format.ts';

export interface BodyInput extends Pick<ExpositionInput, 'jobs' | 'build'> {
  readonly pages: readonly PageCopy[];
  /** Default: no counts, and no values of the process. */
  readonly server?: Float64Array;
  /** Enrolled hosts without a row. Default: 0. */
  readonly pending?: number;
  /** Families to leave out. Default: none. */
  readonly exclude?: readonly string[];
}

/** Renders a whole body, part by part, and keeps nothing. */
export function naiveBody({ pages, jobs, build, server, pending = 0, exclude }: BodyInput): string {
  const pieces: Buffer[] = [];
  const add = (bound: number, write: (out: TextWriter) => void) => {
    pieces.push(within(bound, write));
  };
  const totals = { ...sumTotals(pages.map(({ page }) => pageTotals(page))), pending };
  const input = { totals, jobs, build, server: server ?? new Float64Array(READING_CELLS) };
  for (const part of expositionParts(exclude)) {
    if ('write' in part) add(textBound(build), (out) => part.write(out, input));
    else {
      for (const copy of pages)
        add(rowsBound(copy), (out) => writeHostRows(out, part.familyIndex, copy));
    }
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
}

/** @throws Error if more than `bound` bytes are written, plus the slack of `copyByEights` */
function within(bound: number, write: (out: TextWriter) => void): Buffer {
  const target = Buffer.alloc(bound + 4_096, 0xff);
  const out = new TextWriter(target);
  write(out);
  if (out.length > bound) throw new Error(`${out.length} bytes where ${bound} was the bound`);
  if (target.subarray(bound + COPY_SLACK_BYTES).some((byte) => byte !== 0xff)) {
    throw new Error(`bytes were written behind the bound of ${bound}`);
  }
  return target.subarray(0, out.length);
}
