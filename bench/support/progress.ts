/**
 * Shows the progress of a long run on standard error: one line that is overwritten, if standard
 * error is a terminal.
 */
export class Progress {
  readonly #name: string;
  #scenario = '';

  constructor(name: string) {
    this.#name = name;
  }

  scenario(text: string): void {
    this.#scenario = text;
    if (!process.stderr.isTTY) process.stderr.write(`${this.#name}: ${text}\n`);
  }

  step(text: string): void {
    if (!process.stderr.isTTY) return;
    process.stderr.write(`\r\x1b[K${this.#name}: ${this.#scenario}, ${text}`);
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
