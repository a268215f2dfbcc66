import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Queries } from '../../src/query-thread/queries.ts';
import type { HostHistory, Reads } from '../../src/query-thread/reads.ts';
import { Roster } from '../../src/query-thread/roster.ts';
import { FleetTable } from '../../src/shared/fleet-table.ts';
import { JobHistogram } from '../../src/shared/job-histogram.ts';
import { ulidOf } from '../support/ulid.ts';

const HOST_ID = ulidOf(1);
const SECOND = 1_000;
const NO_HISTORY: HostHistory = { alerts: [], jobs: [] };

let fleet: FleetTable;

beforeEach(() => {
  fleet = new FleetTable();
  fleet.upsert({ hostId: HOST_ID, host: 'web', online: true });
});

function queriesWith(reads: Partial<Reads>): Queries {
  const roster = new Roster([new FleetTable().buffer, fleet.buffer]);
  const none: Reads = {
    running: async () => new Map(),
    history: async () => NO_HISTORY,
    close: async () => {},
  };
  return new Queries(roster, { ...none, ...reads }, JobHistogram.create(), '1');
}

describe('a host that changes while its history is read', () => {
  const ask = (change: () => void) =>
    queriesWith({
      history: async () => {
        change();
        return NO_HISTORY;
      },
    }).answer({ name: 'host', hostId: HOST_ID });

  it('is shown as it is afterwards', async () => {
    const answer = ask(() => fleet.upsert({ hostId: HOST_ID, host: 'www', online: false }));
    expect((await answer).content).toMatchObject({ host: 'www', status: 'offline' });
  });

  it('is not shown any more if it is removed', async () => {
    const answer = ask(() => void fleet.remove(HOST_ID));
    await expect(answer).rejects.toMatchObject({ code: 'no_such_host' });
  });
});

describe('the running jobs', () => {
  let counts: number;
  /** How long a count takes. */
  let seconds: number;
  let queries: Queries;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
    counts = 0;
    seconds = 1;
    queries = queriesWith({
      running: () => {
        counts++;
        return new Promise((resolve) =>
          setTimeout(() => resolve(new Map([['check', counts]])), seconds * SECOND),
        );
      },
    });
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  /** The numbers of running checks that some requests get that come at one time. */
  async function ask(requests = 1): Promise<unknown[]> {
    const answers = Array.from({ length: requests }, () => queries.answer({ name: 'fleet' }));
    await vi.advanceTimersByTimeAsync(seconds * SECOND);
    const contents = (await Promise.all(answers)).map(({ content }) => content);
    return contents.map((content) => (content as { running: { check: number } }).running.check);
  }

  it('are counted once for all requests that come meanwhile', async () => {
    expect(await ask(3)).toEqual([1, 1, 1]);
    expect(counts).toBe(1);
  });

  it('are counted for at most a twentieth of the time', async () => {
    expect(await ask()).toEqual([1]);
    vi.advanceTimersByTime(18 * SECOND);
    expect(await ask(), 'it took a second').toEqual([1]);
    vi.advanceTimersByTime(2 * SECOND);
    seconds = 0.01;
    expect(await ask()).toEqual([2]);
    vi.advanceTimersByTime(0.3 * SECOND);
    expect(await ask(), 'it was quick').toEqual([3]);
  });
});
