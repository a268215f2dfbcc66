import { constants, crc32, deflateRawSync } from 'node:zlib';
import {
  composeExposition,
  type ExpositionInput,
  rowsBound,
  writeHostRows,
} from '../metrics/exposition.ts';
import type { HostFamily } from '../metrics/families.ts';
import type { PageCopy } from '../metrics/fleet-reader.ts';
import { TextWriter } from '../metrics/text-format.ts';
import { combineCrc32, crcShift } from './crc32.ts';

/** Room for the largest piece that is not a page's rows: the histogram of one kind, or a family's header. */
const TEXT_BYTES = 64 * 1024;

/** A piece of the body, compressed on its own: deflate blocks that end at a byte boundary. */
interface Fragment {
  readonly deflated: Buffer;
  readonly crc: number;
  readonly shift: number;
  readonly length: number;
}

/**
 * The gzip body, of which only what changed since the last one is rendered and compressed again.
 *
 * Compressing is what a scrape of a large fleet costs, nine times the rendering, and between two scrapes
 * little changes. So each piece of the body (the rows of 64 hosts in one family, the histogram of one
 * kind, a header) is kept as a raw deflate stream that ends in a sync flush instead of a last block.
 * Such streams may be put one behind the other; with a header, a last empty block, and the CRC combined
 * from theirs they make one gzip member (RFC 1951, RFC 1952). One, since some clients read only the first.
 */
export class GzipBody {
  #texts = new Map<string, { readonly text: Buffer; readonly fragment: Fragment }>();
  #rows = new Map<HostFamily, Map<number, { copy: PageCopy; readonly fragment: Fragment }>>();
  #scratch = Buffer.alloc(TEXT_BYTES);

  /** Brings the fragments up to date; @returns what the body consists of */
  compose(input: ExpositionInput): ComposedBody {
    const fragments: Fragment[] = [];
    this.#forget(input.pages);
    composeExposition(input, {
      text: (key, write) => fragments.push(this.#text(key, write)),
      rows: (family, copy) => fragments.push(this.#pageRows(family, copy)),
    });
    return new ComposedBody(fragments);
  }

  #text(key: string, write: (out: TextWriter) => void): Fragment {
    const out = new TextWriter(this.#scratch);
    write(out);
    const text = this.#scratch.subarray(0, out.length);
    const known = this.#texts.get(key);
    if (known?.text.equals(text)) return known.fragment;
    const fragment = compress(text);
    this.#texts.set(key, { text: Buffer.from(text), fragment });
    return fragment;
  }

  #pageRows(family: HostFamily, copy: PageCopy): Fragment {
    let pages = this.#rows.get(family);
    if (pages === undefined) {
      pages = new Map();
      this.#rows.set(family, pages);
    }
    const known = pages.get(copy.block);
    if (known !== undefined && sameRows(family, known.copy, copy)) {
      known.copy = copy; // so that no older copy stays in memory
      return known.fragment;
    }
    const bound = rowsBound(copy);
    if (bound > this.#scratch.length) this.#scratch = Buffer.alloc(bound);
    const out = new TextWriter(this.#scratch);
    writeHostRows(out, family, copy);
    const fragment = compress(this.#scratch.subarray(0, out.length));
    pages.set(copy.block, { copy, fragment });
    return fragment;
  }

  /** Drops the fragments of pages that are no more. */
  #forget(pages: readonly PageCopy[]): void {
    const used = new Set(pages.map(({ block }) => block));
    for (const fragments of this.#rows.values()) {
      if (fragments.size <= used.size) continue;
      for (const block of fragments.keys()) if (!used.has(block)) fragments.delete(block);
    }
  }
}

const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255]);
const LAST_BLOCK = Buffer.from([0x03, 0x00]); // an empty one
const TRAILER_BYTES = 8;

export class ComposedBody {
  readonly byteLength: number;
  readonly #fragments: readonly Fragment[];

  constructor(fragments: readonly Fragment[]) {
    this.#fragments = fragments;
    let length = HEADER.length + LAST_BLOCK.length + TRAILER_BYTES;
    for (const { deflated } of fragments) length += deflated.length;
    this.byteLength = length;
  }

  writeTo(target: Buffer): void {
    let at = 0;
    let crc = 0;
    let length = 0;
    const put = (bytes: Buffer) => {
      target.set(bytes, at);
      at += bytes.length;
    };
    put(HEADER);
    for (const fragment of this.#fragments) {
      put(fragment.deflated);
      crc = combineCrc32(crc, fragment.crc, fragment.shift);
      length += fragment.length;
    }
    put(LAST_BLOCK);
    target.writeUInt32LE(crc, at);
    target.writeUInt32LE(length % 2 ** 32, at + 4);
  }
}

function compress(text: Buffer): Fragment {
  const deflated = deflateRawSync(text, {
    level: constants.Z_BEST_SPEED,
    finishFlush: constants.Z_SYNC_FLUSH,
    // A piece is some 8 KB: a larger window and hash table would only be cleared for nothing each time.
    windowBits: 13,
    memLevel: 7,
  });
  return {
    // What zlib returns is the start of a buffer of 16 KiB, most of which would be kept for nothing.
    deflated: Buffer.from(deflated),
    crc: crc32(text),
    shift: crcShift(text.length),
    length: text.length,
  };
}

/** Whether a family says the same of two copies of a page. */
function sameRows(family: HostFamily, a: PageCopy, b: PageCopy): boolean {
  if (a === b) return true;
  if (a.textEnds.length !== b.textEnds.length || !a.text.equals(b.text)) return false;
  for (let row = 0; row < a.textEnds.length; row++) {
    if (a.textEnds[row] !== b.textEnds[row]) return false;
    if (!Object.is(family.value(a.page, row), family.value(b.page, row))) return false;
    const { lastLabel } = family;
    if (lastLabel && lastLabel.pick(a.page, row) !== lastLabel.pick(b.page, row)) return false;
  }
  return true;
}
