/**
 * PostgreSQL cannot store the character U+0000, which JSON allows. It is stored as the symbol for it.
 * Ids, too, so that a message that contains it is not refused again and again.
 */
export function storable<T extends string | undefined>(text: T): T {
  return text?.replaceAll('\0', '\u2400') as T;
}
