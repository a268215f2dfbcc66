import { button, byId, element, setClass, setText } from './dom.ts';
import { type Fleet, STATES, type State } from './model.ts';
import { number } from './units.ts';
import { headline, openAlerts, runningJobs, STATE_NAMES } from './words.ts';

/** The headline, the bar, the totals, and the filters with their counts. */
export class FleetView {
  readonly #headline = byId('headline', HTMLElement);
  readonly #totals = new Map<string, HTMLElement>();
  readonly #parts = new Map<State, HTMLElement>();
  readonly #filters = new Map<State, { button: HTMLButtonElement; count: HTMLElement }>();

  /** @param onToggle called with the state whose filter was switched */
  constructor(onToggle: (state: State) => void) {
    for (const name of ['Online', 'Open alerts', 'Running jobs', 'Finished jobs']) {
      const value = element('dd');
      this.#totals.set(name, value);
      byId('totals', HTMLElement).append(element('div', '', element('dt', '', name), value));
    }
    for (const state of STATES) {
      const part = element('span', state);
      this.#parts.set(state, part);
      byId('bar', HTMLElement).append(part);
      const count = element('span', 'count');
      const toggle = button(
        `filter ${state}`,
        () => onToggle(state),
        STATE_NAMES[state],
        ' ',
        count,
      );
      this.#filters.set(state, { button: toggle, count });
      byId('filters', HTMLElement).append(toggle);
    }
  }

  /** @param jobsPerMinute undefined while it is not known */
  show(fleet: Fleet, jobsPerMinute: number | undefined): void {
    setText(this.#headline, headline(fleet));
    this.#total('Online', `${number(fleet.online)} of ${number(fleet.hosts)}`);
    this.#total('Open alerts', openAlerts(fleet.alerts));
    this.#total('Running jobs', runningJobs(fleet.running));
    const rate = jobsPerMinute === undefined ? '…' : number(Math.round(jobsPerMinute));
    this.#total('Finished jobs', `${rate} per minute`);
    for (const state of STATES) this.#showState(state, fleet.states[state]);
  }

  showFilter(chosen: readonly State[]): void {
    for (const [state, { button }] of this.#filters) {
      button.setAttribute('aria-pressed', String(chosen.includes(state)));
    }
  }

  #total(name: string, text: string): void {
    const value = this.#totals.get(name);
    if (value !== undefined) setText(value, text);
  }

  #showState(state: State, hosts: number): void {
    const part = this.#parts.get(state);
    // A state with one host of 100,000 stays visible.
    if (part !== undefined) part.style.flex = hosts === 0 ? '0 0 0' : `${hosts} 0 4px`;
    const filter = this.#filters.get(state);
    if (filter === undefined) return;
    setText(filter.count, number(hosts));
    setClass(filter.button, `filter ${state}${hosts === 0 ? ' zero' : ''}`);
  }
}
