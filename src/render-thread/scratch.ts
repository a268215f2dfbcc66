import { COPY_SLACK_BYTES, TextWriter } from '../shared/text-format.ts';

const USUAL_BYTES = 256 * 1024;

/** Memory for building a piece. It is used again for each piece and grows as needed. */
export class Scratch {
  #buffer = Buffer.allocUnsafeSlow(USUAL_BYTES);
  #out = new TextWriter(this.#buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Appends what `write` writes, at most `bound` bytes. */
  write(bound: number, write: (out: TextWriter) => void): void {
    this.#reserve(bound + COPY_SLACK_BYTES);
    const out = this.#out;
    out.length = this.#length;
    write(out);
    this.#length = out.length;
  }

  /** The current contents, in place. Valid until the next change. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
    this.bytes().copy(larger);
    this.#buffer = larger;
    this.#out = new TextWriter(larger);
  }
}
