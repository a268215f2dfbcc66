/** What was wrong so far, and what must not be shown. */
export class Faults {
  readonly list: string[] = [];
  readonly #secrets = new Set<string>();

  /** @param secret a slip may have put it where something else belongs, too */
  constructor(secret: string | undefined) {
    this.keepSecret(secret);
  }

  keepSecret(value: unknown): void {
    const isText = typeof value === 'string' || typeof value === 'number';
    if (isText && value !== '') this.#secrets.add(String(value));
  }

  push(fault: string): void {
    this.list.push(fault);
  }

  /**
   * A value, for a fault. What is in a list or a map is not shown, nor is a text of several lines or about a token: a
   * slip of the indentation or of a quote may have put the token there.
   */
  shown(value: unknown): string {
    if (typeof value === 'object' && value !== null)
      return Array.isArray(value) ? 'a list' : 'a map';
    const text = String(value);
    for (const secret of this.#secrets) if (text.includes(secret)) return 'the token';
    if (typeof value !== 'string') return text;
    return /token|\n/i.test(text) ? 'a text that may hold a token' : JSON.stringify(text);
  }
}
