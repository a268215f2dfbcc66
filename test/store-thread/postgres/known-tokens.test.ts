import { beforeEach, describe, expect, it } from 'vitest';
import { Changes } from '../../../src/store-thread/changes.ts';
import { KnownTokens } from '../../../src/store-thread/postgres/known-tokens.ts';
import type { TokenRow } from '../../../src/store-thread/postgres/tokens.ts';

const [OLD, NEW, OTHER] = [1, 2, 3].map((n) => Buffer.alloc(32, n)) as [Buffer, Buffer, Buffer];

let known: KnownTokens;

beforeEach(() => {
  known = new KnownTokens();
  known.set(['web', OLD]);
  known.set(['mail', OTHER]);
});

/** What the loops must be told of these rows. */
function told(follow: (changes: Changes) => void) {
  const changes = new Changes();
  follow(changes);
  const { enrolled, removed, tokensReplaced } = changes;
  return { enrolled, removed, tokensReplaced };
}

const row = (hostId: string, digest: Uint8Array | null) =>
  told((changes) => known.follow([hostId, digest] satisfies TokenRow, changes));

describe('of a row that another instance has written, the loops are told', () => {
  it('a new host', () => {
    expect(row('new', NEW)).toEqual({ enrolled: [['new', NEW]], removed: [], tokensReplaced: [] });
    expect(known.hostOf(NEW)).toBe('new');
  });

  it('a new token, and that the one before is good no more', () => {
    expect(row('web', NEW)).toEqual({
      enrolled: [['web', NEW]],
      removed: [],
      tokensReplaced: ['web'],
    });
    expect([known.hostOf(OLD), known.hostOf(NEW)]).toEqual([undefined, 'web']);
  });

  it('a removal, once', () => {
    expect(row('web', null)).toEqual({ enrolled: [], removed: ['web'], tokensReplaced: [] });
    expect(row('web', null)).toEqual({ enrolled: [], removed: [], tokensReplaced: [] });
    expect(known.hostOf(OLD)).toBeUndefined();
    expect(known.all()).toEqual([['mail', OTHER]]);
  });

  it('nothing that they know', () => {
    expect(row('web', Buffer.from(OLD))).toEqual({ enrolled: [], removed: [], tokensReplaced: [] });
  });
});

it('hosts that are missing when all rows are read again have been removed', () => {
  const rows: [string, Uint8Array][] = [
    ['web', NEW],
    ['new', OLD],
  ];
  expect(told((changes) => known.followAll(rows, changes))).toEqual({
    enrolled: [
      ['web', NEW],
      ['new', OLD],
    ],
    removed: ['mail'],
    tokensReplaced: ['web'],
  });
  expect(known.all()).toEqual(rows.map(([hostId, digest]) => [hostId, Buffer.from(digest)]));
  expect(known.hostOf(OLD)).toBe('new');
});
