import { FleetReader, PageCopy } from '../../src/shared/fleet-reader.ts';

/** A copy of a page that a test keeps. */
export class KeptCopy extends PageCopy {
  readonly block: number;

  constructor(block: number) {
    super();
    this.block = block;
  }
}

/** Keeps a copy of each page between readings and replaces only the copies of pages that changed. */
export class CopyingReader {
  readonly #reader: FleetReader;
  #kept = new Map<number, KeptCopy>();

  constructor(buffer: SharedArrayBuffer) {
    this.#reader = new FleetReader(buffer);
  }

  /** Returns all pages in the order of their hosts. */
  read(): KeptCopy[] {
    let pages: KeptCopy[] = [];
    this.#reader.read((blocks) => {
      pages = Array.from(blocks, (block) => this.#page(block));
    });
    this.#kept = new Map(pages.map((page) => [page.block, page]));
    return pages;
  }

  #page(block: number): KeptCopy {
    const known = this.#kept.get(block);
    const copy = new KeptCopy(block);
    if (!this.#reader.copyIfChanged(block, known?.version, copy)) return known as KeptCopy;
    // Stored even if the visit is repeated because hosts moved.
    this.#kept.set(block, copy);
    return copy;
  }
}
