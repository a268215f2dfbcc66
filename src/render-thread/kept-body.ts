import type { BodyLayout } from '../shared/body-layout.ts';
import {
  type BuildInfo,
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
import { type Piece, PieceStore, type StoreSize } from './piece-store.ts';
import { Scratch } from './scratch.ts';

/**
 * Pages whose rows in one family make one piece: large enough that a piece is worth a system call, small
 * enough that joining one anew costs little when a single page in it has changed.
 */
const PAGES_A_RUN = 16;

/**
 * The body in one encoding, as of the last render, in pieces. A render makes anew only what changed, so its
 * cost grows with what happened since the last one and not with the fleet.
 *
 * What is made anew is one page of hosts in one family, 64 rows: only they are rendered and compressed. What
 * is kept and sent is a run of 16 such pages, joined: a fleet of 100,000 is 700 runs instead of 11,000 pages,
 * which is what putting the body together and sending it cost.
 */
export class KeptBody {
  readonly #encoder: Encoder;
  readonly #fleet: FleetReader;
  readonly #build: BuildInfo;
  readonly #store = new PieceStore();
  /** By the block of the page. */
  #pages: (KeptPage | undefined)[] = [];
  #pageCount = 0;
  /** Pages in their order, PAGES_A_RUN of them each. */
  #groups: Group[] = [];
  readonly #parts: readonly Part[];
  readonly #texts = new Map<TextPart, KeptText>();
  #head: Piece | undefined;
  /** No longer part of the body, but the bytes of some pages may still be copied from there. */
  #outdated: Piece[] = [];
  readonly #copies = Array.from({ length: PAGES_A_RUN }, () => new PageCopy());
  /**
   * Runs are put together here and then copied: in memory of this thread that stays in the cache, and all at
   * once into shared memory. Writing there row by row takes twice as long.
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
  }

  /**
   * @param render a number higher than those of all renders before
   * @param held the numbers of those whose bodies are still in use; all others' are no more
   */
  render(
    render: number,
    held: readonly number[],
    { jobs, server }: Pick<ExpositionInput, 'jobs' | 'server'>,
  ): BodyLayout {
    this.#store.begin(render, held);
    this.#fleet.read((blocks) => this.#refresh(blocks));
    const pieces: Piece[] = [];
    const checksums: Checksum[] = [];
    const add = ({ piece, checksum }: Encoded) => {
      pieces.push(piece);
      checksums.push(checksum);
    };
    if (this.#encoder.head.length > 0) {
      this.#head ??= this.#store.put(this.#encoder.head);
      pieces.push(this.#head);
    }
    const input = { totals: this.#totals(), jobs, build: this.#build, server };
    for (const part of this.#parts) {
      if ('write' in part) add(this.#text(part, input));
      else for (const { runs } of this.#groups) add(runs[part.rows] as Encoded);
    }
    const tail = this.#tail(checksums);
    if (tail !== undefined) pieces.push(tail);
    for (const piece of this.#outdated.splice(0)) this.#store.drop(piece);
    this.#store.tidy();
    const layout = this.#store.layOut(pieces);
    // No later body ends like this one. The bytes stay for as long as somebody holds the body.
    if (tail !== undefined) this.#store.drop(tail);
    return layout;
  }

  /** Keeps nothing but the memory: the next render makes all anew. */
  forget(): void {
    this.#store.clear();
    this.#pages = [];
    this.#pageCount = 0;
    this.#groups = [];
    this.#texts.clear();
    this.#head = undefined;
    this.#outdated = [];
  }

  get size(): StoreSize {
    return this.#store.size;
  }

  /** Brings pages and groups up to date with the pages in use. */
  #refresh(blocks: Int32Array): void {
    for (let first = 0, index = 0; first < blocks.length; first += PAGES_A_RUN, index++) {
      const members = blocks.subarray(first, first + PAGES_A_RUN);
      this.#groups[index] = this.#refreshGroup(this.#groups[index], members);
    }
    for (const group of this.#groups.splice(Math.ceil(blocks.length / PAGES_A_RUN))) {
      this.#outdated.push(...group.runs.map(({ piece }) => piece));
    }
    this.#forgetPagesBut(blocks);
  }

  #refreshGroup(group: Group | undefined, members: Int32Array): Group {
    const pages: KeptPage[] = [];
    let changed = false;
    for (const [at, block] of members.entries()) {
      const page = this.#page(block);
      const copy = this.#copies[at] as PageCopy;
      page.changed = this.#fleet.copyIfChanged(block, page.version, copy) ? copy : undefined;
      changed ||= page.changed !== undefined;
      pages.push(page);
    }
    const sameMembers = group !== undefined && sameNumbers(group.members, members);
    if (sameMembers && !changed) return group;
    const runs = HOST_FAMILIES.map((_, family) => {
      const known = group?.runs[family];
      if (known && sameMembers && !pages.some((page) => page.hasChanged(family))) return known;
      const run = this.#join(family, pages);
      if (known) this.#outdated.push(known.piece);
      return run;
    });
    for (const page of pages) page.settle();
    return { members: members.slice(), runs };
  }

  /** The rows of some pages in one family: those that changed made anew, the others from where they are. */
  #join(family: number, pages: readonly KeptPage[]): Encoded {
    const scratch = this.#scratch;
    scratch.clear();
    for (const page of pages) {
      const start = scratch.length;
      const run = page.runs[family];
      if (run === undefined || page.hasChanged(family)) {
        page.checksums[family] = this.#encodeRows(family, page.changed as PageCopy);
      } else {
        const from = page.starts[family] as number;
        const to = from + (page.lengths[family] as number);
        scratch.append(this.#store.read(run).subarray(from, to));
      }
      page.starts[family] = start;
      page.lengths[family] = scratch.length - start;
    }
    const piece = this.#store.put(scratch.bytes());
    for (const page of pages) page.runs[family] = piece;
    const checksums = pages.map((page) => page.checksums[family] as Checksum);
    return { piece, checksum: this.#encoder.join(checksums) };
  }

  #encodeRows(family: number, copy: PageCopy): Checksum {
    const write = (out: TextWriter) => writeHostRows(out, family, copy);
    return this.#encoder.encode(this.#scratch, rowsBound(copy), write);
  }

  /** A piece that changes seldom or wholly: compared by what it says, unless that is other each time. */
  #text(part: TextPart, input: ExpositionInput): Encoded {
    const write = (out: TextWriter) => part.write(out, input);
    const bound = textBound(this.#build);
    const scratch = this.#scratch;
    const known = this.#texts.get(part);
    const revision = part.revision?.(input);
    if (known !== undefined && revision !== undefined && known.revision === revision) {
      return known.encoded;
    }
    let text: Buffer | undefined;
    if (!part.isVolatile && revision === undefined) {
      scratch.clear();
      scratch.write(bound, write);
      if (known?.text?.equals(scratch.bytes())) return known.encoded;
      text = Buffer.from(scratch.bytes());
    }
    scratch.clear();
    const checksum = part.isVolatile
      ? this.#encoder.store(scratch, bound, write)
      : this.#encoder.encode(scratch, bound, write);
    const encoded = { piece: this.#store.put(scratch.bytes()), checksum };
    this.#texts.set(part, { revision, text, encoded });
    if (known !== undefined) this.#outdated.push(known.encoded.piece);
    return encoded;
  }

  #tail(checksums: readonly Checksum[]): Piece | undefined {
    const tail = this.#encoder.tail(this.#encoder.join(checksums));
    return tail.length === 0 ? undefined : this.#store.put(tail);
  }

  #totals(): FleetTotals {
    return sumTotals(this.#pages.flatMap((page) => page?.totals ?? []));
  }

  #page(block: number): KeptPage {
    const known = this.#pages[block];
    if (known !== undefined) return known;
    const page = new KeptPage();
    this.#pages[block] = page;
    this.#pageCount++;
    return page;
  }

  /** Lets go of pages that are no more. */
  #forgetPagesBut(blocks: Int32Array): void {
    if (this.#pageCount === blocks.length) return;
    const used = new Set(blocks);
    this.#pages = this.#pages.map((page, block) => (used.has(block) ? page : undefined));
    this.#pageCount = blocks.length;
  }
}

interface Encoded {
  readonly piece: Piece;
  readonly checksum: Checksum;
}

interface KeptText {
  readonly revision: number | undefined;
  /** Undefined of a text that is other each time, or has a revision. */
  readonly text: Buffer | undefined;
  readonly encoded: Encoded;
}

/** The runs, by family, of pages that follow one another. */
interface Group {
  readonly members: Int32Array;
  readonly runs: readonly Encoded[];
}

/** What is known of one page of hosts, and by family, where its rows are: in which run, from where on. */
class KeptPage {
  version: number | undefined;
  totals: FleetTotals | undefined;
  readonly runs: Piece[] = [];
  readonly starts = new Int32Array(HOST_FAMILIES.length);
  readonly lengths = new Int32Array(HOST_FAMILIES.length);
  readonly checksums: Checksum[] = [];
  readonly #marks = new Int32Array(HOST_FAMILIES.length);
  /** The page as it is now, while that is another than the one known. */
  changed: PageCopy | undefined;

  hasChanged(family: number): boolean {
    return (
      this.changed !== undefined && this.#marks[family] !== this.changed.page.familyMark(family)
    );
  }

  /** What has changed is known now. */
  settle(): void {
    if (this.changed === undefined) return;
    const { page, version } = this.changed;
    for (let family = 0; family < HOST_FAMILIES.length; family++) {
      this.#marks[family] = page.familyMark(family);
    }
    this.totals = pageTotals(page);
    this.version = version;
    this.changed = undefined;
  }
}

function sameNumbers(a: Int32Array, b: Int32Array): boolean {
  return a.length === b.length && a.every((value, at) => value === b[at]);
}
