/*
 * Addresses in network byte order, as uWebSockets.js hands out the peer of a socket. Written without the
 * library that reads them, so that the two cannot be wrong together.
 */

export const UNIX_SOCKET = new Uint8Array(0);

export function v4(dotted: string): Uint8Array {
  return Uint8Array.from(dotted.split('.').map(Number));
}

/** @param hex all 32 digits */
export function v6(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

/** The peer of an IPv4 client on a socket that listens on `::`. */
export function mapped(dotted: string): Uint8Array {
  return Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...v4(dotted)]);
}
