/*
 * What one agent, or somebody who claims to be one, can make this loop do or keep. `docs/security.md` lists all
 * bounds of the control plane, with what happens beyond them.
 */

/**
 * Frames of one connection in one turn of the loop: messages, pings and pongs. uWebSockets.js reads a socket
 * until it is empty, within one turn, so an agent that sends without pause would keep everybody else waiting.
 */
export const MAX_FRAMES_PER_TURN = 4_000;
export const MAX_BYTES_PER_TURN = 8 * 1024 * 1024;

/**
 * Messages of one host that the store has not answered yet, in one loop. Those of a connection that is closed count
 * until they are answered, so that connecting again gives no further share.
 */
export const MAX_UNANSWERED = 4_000;
/** Those of them that the store works on at one time. */
export const MAX_IN_STORE = 500;

/** Connections of one host that have not said hello. An agent has one at a time. */
export const MAX_UNGREETED_PER_HOST = 8;

/** Requests of one loop with a token that it does not know, which wait for the store to look it up. */
export const MAX_LOOKUPS = 1_000;

/** Answers that an agent may leave unread before its socket is closed. */
export const MAX_UNREAD_BYTES = 1024 * 1024;

/** Messages that could not be understood, and that a connection is forgiven within a minute. */
export const MAX_BAD_MESSAGES_PER_MINUTE = 20;
