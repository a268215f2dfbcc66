import {
  composeExposition,
  rowsBound,
  textBound,
  writeHostRows,
} from '../../src/metrics/exposition.ts';
import { type BuildInfo, pageTotals, sumTotals } from '../../src/metrics/families.ts';
import type { PageCopy } from '../../src/metrics/fleet-reader.ts';
import type { JobReading } from '../../src/metrics/job-histogram.ts';
import { COPY_SLACK_BYTES, TextWriter } from '../../src/metrics/text-format.ts';

export interface BodyInput {
  readonly pages: readonly PageCopy[];
  readonly jobs: JobReading;
  readonly build: BuildInfo;
}

/** The whole body, piece after piece, with nothing kept. */
export function naiveBody({ pages, jobs, build }: BodyInput): string {
  const pieces: Buffer[] = [];
  const add = (bound: number, write: (out: TextWriter) => void) => {
    pieces.push(within(bound, write));
  };
  composeExposition(
    { totals: sumTotals(pages.map(({ page }) => pageTotals(page))), jobs, build },
    {
      text: (_, write) => add(textBound(build), write),
      rows: (family) => {
        for (const copy of pages) add(rowsBound(copy), (out) => writeHostRows(out, family, copy));
      },
    },
  );
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
}

/** @throws Error if more is written than `bound` bytes, and the slack that copying takes */
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
