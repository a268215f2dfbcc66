import type { BodyLayout } from '../shared/body-layout.ts';
import {
  type BuildInfo,
  type FleetSummary,
  type FleetTotals,
  HOST_FAMILIES,
  pageTotals,
  sumTotals,
} from '../shared/families.ts';
import { type FleetReader, PageCopy } from '../shared/fleet-reader.ts';
import type { TextWriter } from '../shared/text-format.ts';
import type { Checksum, Encoder } from './encoder.ts';
import {
  type ExpositionInput,
  expositionParts,
  type Part,
  rowsBound,
  type TextPart,
  textBound,
  writeHostRows,
} from './exposition.ts';
import { type LogSize, type Piece, PieceStore } from './piece-store.ts';
import { Scratch } from './scratch.ts';

/**
 * Pages per run. A run must be large enough to be worth a system call, and small enough that
 * joining it again is cheap when a single page of it has changed.
 */
const PAGES_PER_RUN = 16;

/**
 * The pieces of the last body in one encoding. A render replaces only the pieces that changed, so
 * its cost depends on what happened since the last render and not on the size of the fleet.
 *
 * The unit of rendering and compression is one page of hosts in one family: up to 64 rows. The
 * unit of storing and sending is a run: 16 such pages, joined. The time for laying out and sending a
 * body grows with the number of its pieces: a fleet of 100,000 hosts has 1,563 pages in each of 14
 * families, but only 98 runs in each.
 */
export class KeptBody {
  readonly #encoder: Encoder;
  readonly #fleet: FleetReader;
  readonly #build: BuildInfo;
  readonly #pieces = new PieceStore();
  /** Index: the block of the page. */
  #pages: (KeptPage | undefined)[] = [];
  #pageCount = 0;
  /** The pages in the order of their hosts, PAGES_PER_RUN per group. */
  #groups: PageGroup[] = [];
  readonly #parts: readonly Part[];
  /** Families over hosts that the body shows, by their index. Nothing is kept of the others. */
  readonly #families: readonly number[];
  readonly #textParts = new Map<TextPart, KeptTextPart>();
  #head: Piece | undefined;
  /**
   * Pieces that the new body no longer contains. They are dropped only at the end of the render,
   * because the rows of some pages may still be copied from them.
   */
  #outdated: Piece[] = [];
  readonly #copies = Array.from({ length: PAGES_PER_RUN }, () => new PageCopy());
  /**
   * Pieces are built here and then copied into shared memory at once. This memory belongs to the
   * thread and stays in the cache. Writing row by row into shared memory takes twice as long.
   */
  readonly #scratch = new Scratch();

  constructor(
    encoder: Encoder,
    fleet: FleetReader,
    build: BuildInfo,
    exclude: readonly string[] = [],
  ) {
    this.#encoder = encoder;
    this.#fleet = fleet;
    this.#build = build;
    this.#parts = expositionParts(exclude);
    this.#families = this.#parts.flatMap((part) => ('write' in part ? [] : part.familyIndex));
  }

  /**
   * Renders the current state.
   * @param renderNumber higher than in all calls before
   * @param heldRenders numbers of earlier renders whose bodies a reader still holds; the memory of
   * all other bodies may be overwritten
   * @throws RmError `reading_contended`; call `forget` then
   */
  render(
    renderNumber: number,
    heldRenders: readonly number[],
    { jobs, server }: Pick<ExpositionInput, 'jobs' | 'server'>,
  ): BodyLayout {
    this.#pieces.begin(renderNumber, heldRenders);
    this.#fleet.read((blocks) => this.#refresh(blocks));
    const pieces: Piece[] = [];
    const checksums: Checksum[] = [];
    const add = ({ piece, checksum }: EncodedPiece) => {
      pieces.push(piece);
      checksums.push(checksum);
    };
    if (this.#encoder.head.length > 0) {
      this.#head ??= this.#pieces.put(this.#encoder.head);
      pieces.push(this.#head);
    }
    const input = { totals: this.#totals(), jobs, build: this.#build, server };
    for (const part of this.#parts) {
      if ('write' in part) add(this.#textPiece(part, input));
      else for (const { runs } of this.#groups) add(runs[part.familyIndex] as EncodedPiece);
    }
    const tail = this.#tail(checksums);
    if (tail !== undefined) pieces.push(tail);
    for (const piece of this.#outdated.splice(0)) this.#pieces.drop(piece);
    this.#pieces.tidy();
    const layout = this.#pieces.layOut(pieces);
    // No later body has the same tail. The bytes of this one stay valid until its last reader releases
    // the body.
    if (tail !== undefined) this.#pieces.drop(tail);
    return layout;
  }

  /** Forgets all pieces but keeps their memory. The next render starts from scratch. */
  forget(): void {
    this.#pieces.clear();
    this.#pages = [];
    this.#pageCount = 0;
    this.#groups = [];
    this.#textParts.clear();
    this.#head = undefined;
    this.#outdated = [];
  }

  get logSize(): LogSize {
    return this.#pieces.size;
  }

  /** Updates pages and groups to the pages that are in use now. */
  #refresh(blocks: Int32Array): void {
    for (let first = 0, index = 0; first < blocks.length; first += PAGES_PER_RUN, index++) {
      const groupBlocks = blocks.subarray(first, first + PAGES_PER_RUN);
      this.#groups[index] = this.#refreshGroup(this.#groups[index], groupBlocks);
    }
    for (const group of this.#groups.splice(Math.ceil(blocks.length / PAGES_PER_RUN))) {
      for (const family of this.#families) {
        const run = group.runs[family];
        if (run !== undefined) this.#outdated.push(run.piece);
      }
    }
    this.#forgetUnusedPages(blocks);
  }

  #refreshGroup(group: PageGroup | undefined, blocks: Int32Array): PageGroup {
    const pages: KeptPage[] = [];
    let changed = false;
    for (const [at, block] of blocks.entries()) {
      const page = this.#keptPage(block);
      const copy = this.#copies[at] as PageCopy;
      page.changedCopy = this.#fleet.copyIfChanged(block, page.version, copy) ? copy : undefined;
      changed ||= page.changedCopy !== undefined;
      pages.push(page);
    }
    const sameBlocks = group !== undefined && sameNumbers(group.blocks, blocks);
    if (sameBlocks && !changed) return group;
    const runs: EncodedPiece[] = [];
    for (const family of this.#families) runs[family] = this.#run(group, pages, family, sameBlocks);
    for (const page of pages) page.acceptChanges();
    return { blocks: blocks.slice(), runs };
  }

  /** The run of a family that is kept, or a new one if a page of it has changed. */
  #run(
    group: PageGroup | undefined,
    pages: readonly KeptPage[],
    family: number,
    sameBlocks: boolean,
  ): EncodedPiece {
    const keptRun = group?.runs[family];
    if (keptRun && sameBlocks && !pages.some((page) => page.hasChanged(family))) return keptRun;
    const newRun = this.#join(family, pages);
    if (keptRun) this.#outdated.push(keptRun.piece);
    return newRun;
  }

  /**
   * Joins the rows of some pages in one family into a run. Pages that changed are rendered and
   * compressed; the others are copied from their old run.
   */
  #join(family: number, pages: readonly KeptPage[]): EncodedPiece {
    const scratch = this.#scratch;
    scratch.clear();
    for (const page of pages) {
      const start = scratch.length;
      const keptRun = page.runPieces[family];
      if (keptRun === undefined || page.hasChanged(family)) {
        page.checksums[family] = this.#encodeRows(family, page.changedCopy as PageCopy);
      } else {
        const from = page.starts[family] as number;
        const to = from + (page.lengths[family] as number);
        scratch.append(this.#pieces.read(keptRun).subarray(from, to));
      }
      page.starts[family] = start;
      page.lengths[family] = scratch.length - start;
    }
    const piece = this.#pieces.put(scratch.bytes());
    for (const page of pages) page.runPieces[family] = piece;
    const checksums = pages.map((page) => page.checksums[family] as Checksum);
    return { piece, checksum: this.#encoder.join(checksums) };
  }

  #encodeRows(family: number, copy: PageCopy): Checksum {
    const write = (out: TextWriter) => writeHostRows(out, family, copy);
    return this.#encoder.encode(this.#scratch, rowsBound(copy), write);
  }

  /**
   * Returns the kept piece of a text part, or a new one if the text has changed. Whether it has
   * changed is known from its revision or, without one, from comparing the text. A volatile text
   * always has.
   */
  #textPiece(part: TextPart, input: ExpositionInput): EncodedPiece {
    const write = (out: TextWriter) => part.write(out, input);
    const bound = textBound(this.#build);
    const scratch = this.#scratch;
    const kept = this.#textParts.get(part);
    const revision = part.revision?.(input);
    if (kept !== undefined && revision !== undefined && kept.revision === revision) {
      return kept.encoded;
    }
    let text: Buffer | undefined;
    if (!part.isVolatile && revision === undefined) {
      scratch.clear();
      scratch.write(bound, write);
      if (kept?.text?.equals(scratch.bytes())) return kept.encoded;
      text = Buffer.from(scratch.bytes());
    }
    scratch.clear();
    const checksum = part.isVolatile
      ? this.#encoder.encodeStored(scratch, bound, write)
      : this.#encoder.encode(scratch, bound, write);
    const encoded = { piece: this.#pieces.put(scratch.bytes()), checksum };
    this.#textParts.set(part, { revision, text, encoded });
    if (kept !== undefined) this.#outdated.push(kept.encoded.piece);
    return encoded;
  }

  #tail(checksums: readonly Checksum[]): Piece | undefined {
    const tail = this.#encoder.tail(this.#encoder.join(checksums));
    return tail.length === 0 ? undefined : this.#pieces.put(tail);
  }

  #totals(): FleetSummary {
    const totals = sumTotals(this.#pages.flatMap((page) => page?.totals ?? []));
    return { ...totals, pending: this.#fleet.pendingHosts };
  }

  #keptPage(block: number): KeptPage {
    const kept = this.#pages[block];
    if (kept !== undefined) return kept;
    const page = new KeptPage();
    this.#pages[block] = page;
    this.#pageCount++;
    return page;
  }

  /** Forgets pages that are not in use any more. */
  #forgetUnusedPages(blocks: Int32Array): void {
    if (this.#pageCount === blocks.length) return;
    const used = new Set(blocks);
    this.#pages = this.#pages.map((page, block) => (used.has(block) ? page : undefined));
    this.#pageCount = blocks.length;
  }
}

interface EncodedPiece {
  readonly piece: Piece;
  readonly checksum: Checksum;
}

interface KeptTextPart {
  readonly revision: number | undefined;
  /** Undefined if the part is volatile or has a revision: then the text is not compared. */
  readonly text: Buffer | undefined;
  readonly encoded: EncodedPiece;
}

/** PAGES_PER_RUN consecutive pages and their runs, by family; a family that is not shown has none. */
interface PageGroup {
  readonly blocks: Int32Array;
  readonly runs: readonly EncodedPiece[];
}

/**
 * The state of one page at the last render, and the place of its rows in each family: the piece of
 * their run, and their start and length in it.
 */
class KeptPage {
  version: number | undefined;
  totals: FleetTotals | undefined;
  readonly runPieces: Piece[] = [];
  readonly starts = new Int32Array(HOST_FAMILIES.length);
  readonly lengths = new Int32Array(HOST_FAMILIES.length);
  readonly checksums: Checksum[] = [];
  readonly #marks = new Int32Array(HOST_FAMILIES.length);
  /** The current state of the page if it has changed since the last render, else undefined. */
  changedCopy: PageCopy | undefined;

  hasChanged(family: number): boolean {
    return (
      this.changedCopy !== undefined &&
      this.#marks[family] !== this.changedCopy.page.familyMark(family)
    );
  }

  /** Records the current state as rendered. */
  acceptChanges(): void {
    if (this.changedCopy === undefined) return;
    const { page, version } = this.changedCopy;
    for (let family = 0; family < HOST_FAMILIES.length; family++) {
      this.#marks[family] = page.familyMark(family);
    }
    this.totals = pageTotals(page);
    this.version = version;
    this.changedCopy = undefined;
  }
}

function sameNumbers(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}
