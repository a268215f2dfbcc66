import type { Logger } from './log.ts';

/**
 * Kinds of events. Each kind has its own rate limit. The index of a kind is its position in the
 * shared memory.
 */
export const EVENTS = [
  'agent_bad_frame',
  'agent_bad_hello',
  'agent_bad_report',
  'agent_job_conflict',
  'agent_message_refused',
  'agent_removed',
  'agent_replaced',
  'agent_silent',
  'agent_store_unavailable',
  'agent_token_replaced',
  'agent_too_many_bad_messages',
  'agent_too_many_messages',
  'agent_too_many_requests',
  'agent_too_many_unanswered',
  'agent_unauthorized',
  'agent_unread_answers',
  'api_failed',
  'api_refused',
  'scrape_failed',
  'scrape_refused',
  'shard_shared',
  'store_defect',
  'store_failed',
  'store_recovered',
] as const;
export type EventKind = (typeof EVENTS)[number];

const INTERVAL_SECONDS = 60;
/**
 * Words per kind in the shared memory: when the kind was last logged, and how many events were
 * suppressed since.
 */
const WORDS_PER_KIND = 2;
const NEVER = 0;

/**
 * Logs events that a client can cause as often as it likes. Each kind is logged at most once a
 * minute, with the number of events that were suppressed since. All threads of a control plane
 * share this limit.
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
    return new SharedArrayBuffer(EVENTS.length * WORDS_PER_KIND * Int32Array.BYTES_PER_ELEMENT);
  }

  info(kind: EventKind, fields: object, message: string): void {
    this.#logAtMostOncePerInterval('info', kind, fields, message);
  }

  warn(kind: EventKind, fields: object, message: string): void {
    this.#logAtMostOncePerInterval('warn', kind, fields, message);
  }

  error(kind: EventKind, fields: object, message: string): void {
    this.#logAtMostOncePerInterval('error', kind, fields, message);
  }

  #logAtMostOncePerInterval(
    level: 'info' | 'warn' | 'error',
    kind: EventKind,
    fields: object,
    message: string,
  ) {
    const words = this.#words;
    const at = EVENTS.indexOf(kind) * WORDS_PER_KIND;
    // The monotonic clock of the machine, which all threads share. It is 0 at boot. In the shared
    // memory 0 means "never logged", so the minimum is 1.
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
