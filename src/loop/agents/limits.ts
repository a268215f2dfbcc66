/*
 * Limits on the work and the memory that one agent, or an attacker in its place, can cause in a loop.
 * `docs/security.md` lists all limits of the control plane and what happens when each is exceeded.
 */

/**
 * Frames (messages, pings and pongs) of one connection in one turn of the loop. uWebSockets.js reads a
 * socket until it is empty within one turn, so an agent that sends without pause would block the loop.
 */
export const MAX_FRAMES_PER_TURN = 4_000;
export const MAX_BYTES_PER_TURN = 8 * 1024 * 1024;

/**
 * Unanswered messages of one host in one loop. The messages of a closed connection count until the
 * store has answered them, so an agent cannot exceed the limit by connecting again.
 */
export const MAX_UNANSWERED = 4_000;
/** Operations of one host that are in the store at the same time. Its other operations wait in the loop. */
export const MAX_IN_STORE = 500;

/** Connections of one host that have not sent a hello. A correct agent has at most one. */
export const MAX_UNGREETED_PER_HOST = 8;

/** Requests of one loop that wait until the store has looked up their token. */
export const MAX_LOOKUPS = 1_000;

/** Limits of one HTTP request with messages. */
export const MAX_REPORT_BYTES = 1024 * 1024;
export const MAX_REPORT_MESSAGES = 1_000;
/**
 * Bytes beyond MAX_REPORT_BYTES that are read and discarded. A client may not see an answer that is sent
 * before it has sent its whole body.
 */
export const MAX_DISCARDED_BYTES = 8 * 1024 * 1024;
/** Chunks in which the body of a request may arrive. A chunk of one byte costs as much as a larger one. */
export const MAX_REPORT_CHUNKS = 8_192;
/** Time from the start of a request until its body must be complete. */
export const REPORT_BODY_MS = 30_000;
/** Requests with messages that one host may have open at the same time in one loop. */
export const MAX_REPORTS_PER_HOST = 4;
/** Total size of the bodies that a loop keeps at the same time. */
export const MAX_REPORT_BYTES_PER_LOOP = 64 * 1024 * 1024;
/** Time that a loop spends in one turn on reading the messages of requests. */
export const MAX_PARSING_MS_PER_TURN = 10;

/**
 * Share of a loop's time that the requests of one host may take. A large body can take 100 ms to parse.
 * The host's next body then waits, so that one host cannot block the others.
 */
export const MAX_SHARE_OF_HOST = 0.1;

/** Bytes that an agent may leave unread. Beyond that its socket is closed. */
export const MAX_UNREAD_BYTES = 1024 * 1024;

/** Bad messages that a connection may send within a minute. One more closes it. */
export const MAX_BAD_MESSAGES_PER_MINUTE = 20;
