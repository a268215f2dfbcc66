/**
 * The URL of a database may contain a password. The label of a private key in PEM format (RFC 7468) shows that the key
 * itself is in the setting, by mistake instead of its file.
 */
const SECRET = /postgres(?:ql)?:\/\/|PRIVATE KEY/i;

/** Collects the errors in the settings, and the secrets that must not appear in them. */
export class ErrorList {
  readonly list: string[] = [];
  readonly #secrets = new Set<string>();

  /** @param secret the token, if it is known; by mistake it may also be the value of another setting */
  constructor(secret: string | undefined) {
    this.hideSecret(secret);
  }

  hideSecret(value: unknown): void {
    const isText = typeof value === 'string' || typeof value === 'number';
    if (isText && value !== '') this.#secrets.add(String(value));
  }

  push(error: string): void {
    this.list.push(error);
  }

  /** Returns whether a text contains a secret that is known, the URL of a database, or a private key. */
  hasSecret(text: string): boolean {
    return SECRET.test(text) || [...this.#secrets].some((secret) => text.includes(secret));
  }

  /**
   * Describes a value for an error message. It does not show the contents of lists and maps. It also
   * does not show text that contains a secret, has several lines or mentions a token: wrong indentation or
   * a wrong quote may have put the token there.
   */
  describe(value: unknown): string {
    if (typeof value === 'object' && value !== null)
      return Array.isArray(value) ? 'a list' : 'a map';
    const text = String(value);
    if (this.hasSecret(text)) return 'a secret';
    if (typeof value !== 'string') return text;
    return /token|\n/i.test(text) ? 'text that may contain a secret' : JSON.stringify(text);
  }
}
