import { byId, setText } from './dom.ts';
import { time } from './units.ts';
import { failure } from './words.ts';

/** The states of the connection, in the line at the top and in a notice, and what a screen reader says. */
export class ConnectionView {
  readonly #state = byId('connection', HTMLElement);
  readonly #notice = byId('notice', HTMLElement);
  readonly #live = byId('live', HTMLElement);
  #lastDataMs: number | undefined;

  /** Whether the page shows data, new or old. */
  get hasData(): boolean {
    return this.#lastDataMs !== undefined;
  }

  connecting(): void {
    setText(this.#state, 'Connecting');
  }

  live(nowMs: number): void {
    if (document.body.classList.contains('stale')) this.announce('Connected again.');
    this.#lastDataMs = nowMs;
    document.body.classList.remove('stale');
    document.body.classList.add('live');
    this.#notice.hidden = true;
    setText(this.#state, `Live, ${time(nowMs)}`);
  }

  /** The data stays in view and is marked as old. */
  stale(status: number): void {
    const last = this.#lastDataMs;
    const since = last === undefined ? '' : ` Last data from ${time(last)}.`;
    const words = `${failure(status)}${since} Trying again.`;
    this.notice(words);
    if (!document.body.classList.contains('stale')) this.announce(words);
    document.body.classList.add('stale');
    document.body.classList.remove('live');
    setText(this.#state, 'Not connected');
  }

  /** There is no data and no connection. */
  clear(): void {
    this.#lastDataMs = undefined;
    this.#notice.hidden = true;
    document.body.classList.remove('live', 'stale');
    setText(this.#state, '');
  }

  notice(text: string): void {
    setText(this.#notice, text);
    this.#notice.hidden = false;
  }

  announce(text: string): void {
    setText(this.#live, text);
  }
}
