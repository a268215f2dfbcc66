import type { HostSummary } from '../contract/host-details.ts';
import { HOST_STATES } from '../contract/host-state.ts';
import { type HostPosition, type HostsQuery, searchable } from '../contract/queries.ts';
import { namePrefix, type RosterPage } from './roster.ts';

/** A page of the list of hosts. */
export interface HostsPage {
  readonly hosts: readonly HostSummary[];
  /** Undefined at the end of the list. */
  readonly next: HostPosition | undefined;
}

interface Found extends HostPosition {
  readonly page: RosterPage;
  readonly row: number;
}

/**
 * Finds the next hosts of the list. It compares every host with the last one that it keeps, because a list
 * in order would have to be sorted again whenever a host changes, and whenever time makes a host overdue.
 */
export function hostsPage(
  pages: readonly RosterPage[],
  { states, search, limit, after }: HostsQuery,
  nowMs: number,
): HostsPage {
  const wanted = HOST_STATES.map((state) => states.length === 0 || states.includes(state));
  const part = searchable(search);
  // One more than the page, to know whether it is the last.
  const best = new SmallestHosts(limit + 1);
  for (const page of pages) {
    if (part !== '' && !page.mayContain(part)) continue;
    const ranks = page.ranks(nowMs);
    for (let row = 0; row < page.length; row++) {
      const rank = ranks[row] as number;
      if (!wanted[rank] || (after !== undefined && rank < after.rank)) continue;
      if (best.excludes(rank, page.prefix(row))) continue;
      const { host, hostId, searched } = page.texts(row);
      if (part !== '' && !searched.includes(part)) continue;
      if (after !== undefined && compare(rank, host, hostId, after) <= 0) continue;
      best.offer(rank, host, hostId, page, row);
    }
  }
  const found = best.sorted();
  const shown = withoutRepeats(found).slice(0, limit);
  const last = shown.at(-1);
  return {
    hosts: shown.map(({ page, row }) => page.summary(row, nowMs)),
    // A repeat takes the place of another host, which is on the next page.
    next: last && found.length > limit ? positionOf(last) : undefined,
  };
}

function positionOf({ rank, host, hostId }: Found): HostPosition {
  return { rank, host, hostId };
}

/** A host that is just moving between the tables is in both, as a pending host last. */
function withoutRepeats(found: readonly Found[]): Found[] {
  const seen = new Set<string>();
  return found.filter(({ hostId }) => !seen.has(hostId) && seen.add(hostId));
}

/** By UTF-16 code units: the order must not depend on a locale. */
function compare(rank: number, host: string, hostId: string, other: HostPosition): number {
  if (rank !== other.rank) return rank - other.rank;
  if (host !== other.host) return host < other.host ? -1 : 1;
  if (hostId === other.hostId) return 0;
  return hostId < other.hostId ? -1 : 1;
}

function compareFound({ rank, host, hostId }: Found, other: Found): number {
  return compare(rank, host, hostId, other);
}

/** The first hosts of those that were offered, in the order of the list: a binary heap, the last on top. */
class SmallestHosts {
  readonly #heap: Found[] = [];
  readonly #limit: number;
  /** Rank and prefix of the last host, once the heap is full. */
  #topRank = Number.POSITIVE_INFINITY;
  #topPrefix = Number.POSITIVE_INFINITY;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Whether the heap is full and no host with this rank and prefix belongs into it. */
  excludes(rank: number, prefix: number): boolean {
    if (rank !== this.#topRank) return rank > this.#topRank;
    return prefix > this.#topPrefix;
  }

  offer(rank: number, host: string, hostId: string, page: RosterPage, row: number): void {
    const heap = this.#heap;
    if (heap.length < this.#limit) {
      heap.push({ rank, host, hostId, page, row });
      this.#rise(heap.length - 1);
      if (heap.length === this.#limit) this.#noteTop();
      return;
    }
    const top = heap[0];
    if (top === undefined || compare(rank, host, hostId, top) >= 0) return;
    heap[0] = { rank, host, hostId, page, row };
    this.#sink();
    this.#noteTop();
  }

  sorted(): Found[] {
    return [...this.#heap].sort(compareFound);
  }

  #noteTop(): void {
    const top = this.#heap[0];
    if (top === undefined) return;
    this.#topRank = top.rank;
    this.#topPrefix = namePrefix(top.host);
  }

  #rise(from: number): void {
    const heap = this.#heap;
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (compareFound(heap[at] as Found, heap[parent] as Found) <= 0) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(): void {
    const heap = this.#heap;
    for (let at = 0; ; ) {
      let last = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && compareFound(heap[child] as Found, heap[last] as Found) > 0) {
          last = child;
        }
      }
      if (last === at) return;
      this.#swap(at, last);
      at = last;
    }
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    [heap[a], heap[b]] = [heap[b] as Found, heap[a] as Found];
  }
}
