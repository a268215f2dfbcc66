import type { Fleet } from './model.ts';
import { announcement, headline } from './words.ts';

/** More frequent announcements would interrupt the user of a screen reader too often. */
const PAUSE_MS = 20_000;

/** Decides when a change of the fleet is announced. Changes during a pause are announced after it, together. */
export class Announcer {
  #before: Fleet['states'] | undefined;
  #quietUntilMs = Number.NEGATIVE_INFINITY;

  /** @returns what to say; empty if nothing */
  textFor(fleet: Fleet, nowMs: number): string {
    if (nowMs < this.#quietUntilMs) return '';
    const text = this.#before === undefined ? '' : announcement(this.#before, fleet.states);
    this.#before = fleet.states;
    if (text === '') return '';
    this.#quietUntilMs = nowMs + PAUSE_MS;
    return `${text} ${headline(fleet)}.`;
  }

  clear(): void {
    this.#before = undefined;
    this.#quietUntilMs = Number.NEGATIVE_INFINITY;
  }
}
