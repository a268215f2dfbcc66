import { describe, expect, it } from 'vitest';

/*
 * A model of the two-bank scheme described at the top of src/metrics/job-histogram.ts: one record, one
 * writer that makes three observations, one reader that takes one reading. Every memory access is a
 * step, and every order in which the steps of the two can follow one another is tried. An accepted
 * reading must be the state after some first n observations, with n published while it was taken.
 *
 * A cell is read and written in one step: it is 64 bits wide and has one writer. The order in which a
 * thread's own steps take effect is that of its list; what a weak memory would reorder is a mutant.
 */
const SUM = 2;
const BANK_CELLS = 3; // two buckets and the sum
const OBSERVATIONS = 3;
const READ_ATTEMPTS = 3;

interface Observation {
  readonly bucket: number;
  readonly ms: number;
}

interface State {
  /** Both banks, one after the other. */
  readonly cells: number[];
  /** As many as there are published observations: it does not wrap here. */
  version: number;
  writerAt: number;
  readerAt: number;
  attempts: number;
  seenVersion: number;
  readonly copy: number[];
}

type WriterStep = (state: State, n: number, jobs: readonly Observation[]) => void;
type ReaderStep = (state: State) => 'go on' | 'again' | 'accept';

interface Scheme {
  /** The n-th observation's steps, for all of them. */
  readonly writer: readonly { readonly n: number; readonly step: WriterStep }[];
  readonly reader: readonly ReaderStep[];
}

// Observation n finds bank n & 1 published and the other one lagging.
const published = (n: number) => (n & 1) * BANK_CELLS;
const lagging = (n: number) => ((n + 1) & 1) * BANK_CELLS;
const at = (numbers: readonly number[], index: number) => numbers[index] ?? Number.NaN;
const bucketOf = (jobs: readonly Observation[], n: number) => jobs[n]?.bucket ?? 0;

function bringUpToDate({ cells }: State, n: number, jobs: readonly Observation[]): void {
  const last = bucketOf(jobs, n - 1);
  cells[lagging(n) + last] = at(cells, published(n) + last);
}
function countInto(bank: (n: number) => number): WriterStep {
  return function count({ cells }, n, jobs) {
    const cell = bank(n) + bucketOf(jobs, n);
    cells[cell] = at(cells, cell) + 1;
  };
}
function sumInto(bank: (n: number) => number): WriterStep {
  return function writeSum({ cells }, n, jobs) {
    cells[bank(n) + SUM] = at(cells, published(n) + SUM) + (jobs[n]?.ms ?? 0);
  };
}
function publish(state: State): void {
  state.version++;
}
const count = countInto(lagging);
const writeSum = sumInto(lagging);

function loadVersion(state: State): 'go on' {
  state.seenVersion = state.version;
  return 'go on';
}
function loadCell(cell: number, bankOf: (version: number) => number): ReaderStep {
  return function load(state) {
    state.copy[cell] = at(state.cells, bankOf(state.seenVersion) + cell);
    return 'go on';
  };
}
const loadCells = (bankOf = published) => [0, 1, SUM].map((cell) => loadCell(cell, bankOf));
function recheck({ seenVersion, version }: State): 'again' | 'accept' {
  return version === seenVersion ? 'accept' : 'again';
}

const inOrder = (...steps: WriterStep[]) =>
  Array.from({ length: OBSERVATIONS }, (_, n) => steps.map((step) => ({ n, step }))).flat();

const SCHEME: Scheme = {
  writer: inOrder(bringUpToDate, count, writeSum, publish),
  reader: [loadVersion, ...loadCells(), recheck],
};

interface Outcome {
  /** The steps up to the first wrong reading that was accepted. */
  wrong?: string;
  /** How many observations the accepted readings had. */
  readonly accepted: Set<number>;
  rejected: number;
}

/** Tries all interleavings, for all choices of the observations' buckets. */
function explore(scheme: Scheme): Outcome {
  const outcome: Outcome = { accepted: new Set(), rejected: 0 };
  for (let choice = 0; choice < 2 ** OBSERVATIONS; choice++) {
    const jobs = Array.from({ length: OBSERVATIONS }, (_, n) => ({
      bucket: (choice >> n) & 1,
      ms: 2 ** n, // each sum is the sum of one set of observations only
    }));
    const start = {
      cells: Array.from({ length: 2 * BANK_CELLS }, () => 0),
      ...{ version: 0, writerAt: 0, readerAt: 0, attempts: 0, seenVersion: 0 },
      copy: [0, 0, 0],
    };
    exploreFrom(start, [], { scheme, jobs, visited: new Set(), outcome });
  }
  return outcome;
}

interface Search {
  readonly scheme: Scheme;
  readonly jobs: readonly Observation[];
  /** What can follow a state depends on the state alone, however it was reached. */
  readonly visited: Set<string>;
  readonly outcome: Outcome;
}

function exploreFrom(state: State, trace: readonly string[], search: Search): void {
  const { scheme, jobs, visited, outcome } = search;
  const key = JSON.stringify(state);
  if (outcome.wrong !== undefined || visited.has(key)) return;
  visited.add(key);

  const write = scheme.writer[state.writerAt];
  if (write !== undefined) {
    const next = structuredClone(state);
    write.step(next, write.n, jobs);
    next.writerAt++;
    exploreFrom(next, [...trace, `${write.step.name} ${write.n}`], search);
  }

  const read = scheme.reader[state.readerAt];
  if (read !== undefined) {
    const next = structuredClone(state);
    const verdict = read(next);
    next.readerAt++;
    const steps = [...trace, `reader: ${read.name}`];
    if (verdict === 'accept') {
      const n = prefixRead(next, jobs);
      if (n === undefined) outcome.wrong ??= [...steps, JSON.stringify(next)].join('\n');
      else outcome.accepted.add(n);
      return;
    }
    if (verdict === 'again') {
      outcome.rejected++;
      next.readerAt = 0;
      next.attempts++;
      if (next.attempts === READ_ATTEMPTS) return;
    }
    exploreFrom(next, steps, search);
  }
}

/** How many observations the copy shows, if it shows one moment's state of the time it was taken in. */
function prefixRead({ seenVersion, version, copy }: State, jobs: readonly Observation[]) {
  for (let n = seenVersion; n <= version; n++) {
    const state = [0, 0, 0];
    for (const { bucket, ms } of jobs.slice(0, n)) {
      state[bucket] = at(state, bucket) + 1;
      state[SUM] = at(state, SUM) + ms;
    }
    if (state.every((value, cell) => value === copy[cell])) return n;
  }
  return undefined;
}

describe('the two-bank scheme, in every interleaving', () => {
  it('accepts only readings that were one moment of their time, and can accept each', () => {
    const { wrong, accepted, rejected } = explore(SCHEME);
    expect(wrong).toBeUndefined();
    expect([...accepted].sort()).toEqual([0, 1, 2, 3]);
    expect(rejected).toBeGreaterThan(0);
  });

  it('catches: publishing before the sum is written', () => {
    expect(caught({ writer: inOrder(bringUpToDate, count, publish, writeSum) })).toBe(true);
  });

  it('catches: publishing before the bucket is incremented', () => {
    expect(caught({ writer: inOrder(bringUpToDate, publish, count, writeSum) })).toBe(true);
    expect(caught({ writer: inOrder(bringUpToDate, writeSum, publish, count) })).toBe(true);
  });

  it('catches: publishing before the lagging bank is up to date', () => {
    expect(caught({ writer: inOrder(publish, bringUpToDate, count, writeSum) })).toBe(true);
  });

  it('catches: the next observation begins before this one is published (a plain store on ARM)', () => {
    const writer = [...SCHEME.writer];
    writer.splice(3, 2, ...writer.slice(3, 5).reverse());
    expect(writer.slice(3, 5).map(({ n, step }) => `${step.name} ${n}`)).toEqual([
      'bringUpToDate 1',
      'publish 0',
    ]);
    expect(caught({ writer })).toBe(true);
  });

  it('catches: writing into the published bank', () => {
    expect(
      caught({ writer: inOrder(bringUpToDate, countInto(published), writeSum, publish) }),
    ).toBe(true);
    expect(caught({ writer: inOrder(bringUpToDate, count, sumInto(published), publish) })).toBe(
      true,
    );
  });

  it('catches: forgetting to bring the lagging bank up to date', () => {
    expect(caught({ writer: inOrder(count, writeSum, publish) })).toBe(true);
  });

  it('catches: bringing the lagging bank up to date only after the new observation', () => {
    expect(caught({ writer: inOrder(count, bringUpToDate, writeSum, publish) })).toBe(true);
  });

  it('catches: a reader that does not check the version again', () => {
    expect(caught({ reader: [loadVersion, ...loadCells(), () => 'accept'] })).toBe(true);
  });

  it('catches: a reader that checks the version before it has loaded every cell', () => {
    const [first, second, sum] = loadCells();
    const accept: ReaderStep = () => 'accept';
    const recheckEarly: ReaderStep = (state) => (recheck(state) === 'accept' ? 'go on' : 'again');
    const reader = [loadVersion, first, second, recheckEarly, sum, accept];
    expect(caught({ reader: reader.filter((step) => step !== undefined) })).toBe(true);
  });

  it('catches: a reader that compares only which bank is published (ABA)', () => {
    const recheckBank: ReaderStep = ({ seenVersion, version }) =>
      (seenVersion & 1) === (version & 1) ? 'accept' : 'again';
    expect(caught({ reader: [loadVersion, ...loadCells(), recheckBank] })).toBe(true);
  });

  it('catches: a reader that copies the other bank', () => {
    expect(caught({ reader: [loadVersion, ...loadCells(lagging), recheck] })).toBe(true);
  });
});

function caught(mutation: Partial<Scheme>): boolean {
  return explore({ ...SCHEME, ...mutation }).wrong !== undefined;
}
