import { RmError } from '../errors.ts';
import { TEXT_UNIT } from './fleet-layout.ts';
import { COPY_SLACK_BYTES } from './text-format.ts';

/**
 * Label texts in slots of whole units. A freed slot is reused for a text that needs the same number
 * of units.
 */
export class TextSlots {
  readonly #bytes: Buffer;
  readonly #freeBySize = new Map<number, number[]>();
  #unitsUsed = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @returns the first unit of the slot */
  add(text: Buffer): number {
    const size = Math.ceil(text.length / TEXT_UNIT);
    const start = this.#freeBySize.get(size)?.pop() ?? this.#append(size);
    text.copy(this.#bytes, start * TEXT_UNIT);
    return start;
  }

  free(start: number, length: number): void {
    const size = Math.ceil(length / TEXT_UNIT);
    const free = this.#freeBySize.get(size);
    if (free === undefined) this.#freeBySize.set(size, [start]);
    else free.push(start);
  }

  view(start: number, length: number): Buffer {
    return this.#bytes.subarray(start * TEXT_UNIT, start * TEXT_UNIT + length);
  }

  #append(size: number): number {
    const start = this.#unitsUsed;
    // A reader also reads the bytes that follow a text.
    if ((start + size) * TEXT_UNIT + COPY_SLACK_BYTES > this.#bytes.length) {
      throw new RmError('fleet_full', 'upsert: the label text of the fleet table is full');
    }
    this.#unitsUsed += size;
    return start;
  }
}
