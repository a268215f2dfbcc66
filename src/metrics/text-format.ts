/*
 * The text format 0.0.4 of Prometheus, written as bytes.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Bytes that a number takes at most: sign, 16 digits, point, and room to spare. */
export const NUMBER_BYTES = 24;

/** In a label value the format escapes the backslash, the double quote and the line feed, nothing else. */
export function escapeLabelValue(value: string): string {
  return value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
}

export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabelValue(value)}"`)
    .join(',');
}

const ZERO = 0x30;
const POINT = 0x2e;
const MINUS = 0x2d;
const LINE_FEED = 0x0a;

/**
 * Appends to a buffer that its user made large enough; nothing here checks for room, since a check a
 * write is what a body of 700,000 lines would feel.
 */
export class TextWriter {
  readonly bytes: Buffer;
  length = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Text that is not worth encoding in advance. */
  text(text: string): void {
    this.length += this.bytes.write(text, this.length);
  }

  copy(source: Uint8Array): void {
    this.bytes.set(source, this.length);
    this.length += source.length;
  }

  copyRange(source: Buffer, start: number, end: number): void {
    source.copy(this.bytes, this.length, start, end);
    this.length += end - start;
  }

  endLine(): void {
    this.bytes[this.length++] = LINE_FEED;
  }

  /** A whole number up to 2^53 in size, in decimal. */
  integer(value: number): void {
    if (value < 0) {
      this.bytes[this.length++] = MINUS;
      this.integer(-value);
    } else if (value < 10) {
      this.bytes[this.length++] = ZERO + value;
    } else if (value < 1e9) {
      this.#digits(value, digitCount(value));
    } else {
      // Two halves, so that each is a small integer to the engine.
      const low = value % 1e9;
      this.integer((value - low) / 1e9);
      this.#digits(low, 9);
    }
  }

  /** Whole milliseconds as seconds: exact, and without zeros at the end. */
  milliseconds(ms: number): void {
    if (ms < 0) {
      this.bytes[this.length++] = MINUS;
      this.milliseconds(-ms);
      return;
    }
    const rest = ms % 1000;
    this.integer((ms - rest) / 1000);
    if (rest === 0) return;
    this.bytes[this.length++] = POINT;
    if (rest % 100 === 0) this.#digits(rest / 100, 1);
    else if (rest % 10 === 0) this.#digits(rest / 10, 2);
    else this.#digits(rest, 3);
  }

  #digits(value: number, count: number): void {
    let rest = value;
    for (let at = this.length + count - 1; at >= this.length; at--) {
      const tenth = Math.floor(rest / 10);
      this.bytes[at] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.length += count;
  }
}

/** For 10 to 999,999,999. */
function digitCount(value: number): number {
  let count = 2;
  for (let limit = 100; value >= limit; limit *= 10) count++;
  return count;
}
