import type { Causes } from './causes.ts';
import { byId, element, foreign, replaceIfChanged, setClass, setText } from './dom.ts';
import type { Host } from './model.ts';
import { hostFragment } from './route.ts';
import { ago, bytes, count } from './units.ts';
import { type Cause, type Reason, reasons, STATE_LABELS } from './words.ts';

/** One host of the list. */
class Row {
  readonly element = element('li');
  readonly link = element('a');
  readonly #badge = element('span', 'badge');
  readonly #reason = element('span', 'reason');
  readonly #success = element('span', 'success');
  readonly #size = element('span', 'size');

  constructor(hostId: string) {
    this.link.href = hostFragment(hostId);
    const name = element('span', 'name', this.link);
    this.element.append(this.#badge, name, this.#reason, this.#success, this.#size);
  }

  show(host: Host, nowMs: number, cause: Cause | undefined): void {
    setClass(this.element, host.state);
    setText(this.#badge, STATE_LABELS[host.state]);
    if (this.link.textContent !== host.host) this.link.replaceChildren(foreign(host.host));
    replaceIfChanged(this.#reason, ...reasonNodes(reasons(host, nowMs, cause)));
    setText(this.#success, lastSuccess(host, nowMs));
    setText(this.#size, size(host));
  }
}

/** Empty where the reason says the same. */
function lastSuccess({ state, last_success_at: at }: Host, nowMs: number): string {
  if (at === null || state === 'ok' || state === 'overdue') return '';
  return `Last success ${ago(Date.parse(at), nowMs)}`;
}

function size({ repo_size_bytes: total, snapshot_count: snapshots }: Host): string {
  const words = [
    total === null ? '' : bytes(total),
    snapshots === null || snapshots === 0 ? '' : count(snapshots, 'snapshot'),
  ];
  return words.filter((word) => word !== '').join(', ');
}

/** The reasons as one text, with what agents wrote isolated. */
export function reasonNodes(all: readonly Reason[]): Node[] {
  return all.flatMap(({ text, quote }, index) => [
    element('span', '', `${index > 0 ? ' · ' : ''}${text}${quote === undefined ? '' : ': '}`),
    ...(quote === undefined ? [] : [element('q', '', foreign(quote))]),
  ]);
}

/** The list of hosts. Rows that stay are kept, so that the focus and the position stay, too. */
export class HostList {
  readonly #list = byId('hosts', HTMLElement);
  #rows = new Map<string, Row>();

  get length(): number {
    return this.#rows.size;
  }

  show(hosts: readonly Host[], nowMs: number, causes: Causes): void {
    const focused = document.activeElement;
    const rows = new Map<string, Row>();
    let place = this.#list.firstElementChild;
    const kept = new Set(hosts.map(({ host_id: hostId }) => hostId));
    for (const [hostId, row] of this.#rows) {
      if (kept.has(hostId)) continue;
      if (row.element === place) place = place.nextElementSibling;
      row.element.remove();
    }
    for (const host of hosts) {
      const row = this.#rows.get(host.host_id) ?? new Row(host.host_id);
      rows.set(host.host_id, row);
      row.show(host, nowMs, causes.of(host));
      if (row.element === place) place = place.nextElementSibling;
      else this.#list.insertBefore(row.element, place);
    }
    this.#rows = rows;
    // Moving an element takes the focus away from it.
    if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected)
      focused.focus({ preventScroll: true });
  }

  clear(): void {
    this.#rows.clear();
    this.#list.replaceChildren();
  }

  /** Puts the focus on a host, if it is in the list. */
  focus(hostId: string | undefined): void {
    if (hostId !== undefined) this.#rows.get(hostId)?.link.focus({ preventScroll: true });
  }

  focusAt(index: number): void {
    [...this.#rows.values()][index]?.link.focus();
  }
}
