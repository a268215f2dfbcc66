/**
 * Replaces the character U+0000, which JSON allows and PostgreSQL cannot store, by its symbol (U+2400).
 * This also applies to ids, so that a message with this character is not refused again and again.
 */
export function storable<T extends string | undefined>(text: T): T {
  return text?.replaceAll('\0', '\u2400') as T;
}
