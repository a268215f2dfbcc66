/** Numbers the turns of this thread's event loop, so that work can be limited per turn. */
export class Turns {
  #current = 0;
  #isNumbered = false;

  /** Number of the current turn. */
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
