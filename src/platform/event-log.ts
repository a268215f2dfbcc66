import type { Logger } from './log.ts';

/** Kinds of events, each limited on its own. Their order is their place in the shared memory. */
export const EVENTS = [
  'agent_bad_frame',
  'agent_bad_hello',
  'agent_job_conflict',
  'agent_message_refused',
  'agent_removed',
  'agent_replaced',
  'agent_silent',
  'agent_store_unavailable',
  'agent_token_replaced',
  'agent_too_many_bad_messages',
  'agent_too_many_messages',
  'agent_too_many_unanswered',
  'agent_unauthorized',
  'agent_unread_answers',
  'scrape_failed',
  'scrape_refused',
  'store_defect',
  'store_failed',
  'store_recovered',
] as const;
export type EventKind = (typeof EVENTS)[number];

const INTERVAL_SECONDS = 60;
/** Two words for each kind: when it was logged last, and how many were not logged since. */
const WORDS = 2;
const NEVER = 0;

/**
 * Logs events that a stranger or a single host can cause as often as they like: each kind at most once a minute,
 * with the number of those that were left out since. The threads of a control plane share this limit.
 */
export class EventLog {
  readonly #log: Logger;
  readonly #words: Int32Array;

  /** @param shared from `EventLog.allocate`, the same in all threads */
  constructor(log: Logger, shared: SharedArrayBuffer) {
    this.#log = log;
    this.#words = new Int32Array(shared);
  }

  static allocate(): SharedArrayBuffer {
    return new SharedArrayBuffer(EVENTS.length * WORDS * Int32Array.BYTES_PER_ELEMENT);
  }

  info(kind: EventKind, fields: object, message: string): void {
    this.#report('info', kind, fields, message);
  }

  warn(kind: EventKind, fields: object, message: string): void {
    this.#report('warn', kind, fields, message);
  }

  error(kind: EventKind, fields: object, message: string): void {
    this.#report('error', kind, fields, message);
  }

  #report(level: 'info' | 'warn' | 'error', kind: EventKind, fields: object, message: string) {
    const words = this.#words;
    const at = EVENTS.indexOf(kind) * WORDS;
    // The monotonic clock of the machine, the same in each thread. It starts with 0 at boot.
    const now = process.hrtime()[0] + 1;
    const last = Atomics.load(words, at);
    const isDue = last === NEVER || now - last >= INTERVAL_SECONDS;
    if (!isDue || Atomics.compareExchange(words, at, last, now) !== last) {
      Atomics.add(words, at + 1, 1);
      return;
    }
    const suppressed = Atomics.exchange(words, at + 1, 0);
    this.#log[level]({ event: kind, ...fields, ...(suppressed > 0 && { suppressed }) }, message);
  }
}
