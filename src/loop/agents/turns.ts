/** Numbers the turns of this thread's event loop, so that work can be counted by turn. */
export class Turns {
  #current = 0;
  #isNumbered = false;

  /** The number of this turn. */
  get current(): number {
    if (!this.#isNumbered) {
      this.#isNumbered = true;
      setImmediate(() => {
        this.#isNumbered = false;
        this.#current++;
      });
    }
    return this.#current;
  }
}
