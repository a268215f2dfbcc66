import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AgentConnection } from '../../../src/loop/agents/connection.ts';
import {
  MAX_BAD_MESSAGES_PER_MINUTE,
  MAX_BYTES_PER_TURN,
  MAX_FRAMES_PER_TURN,
} from '../../../src/loop/agents/limits.ts';

const SECOND = 1_000;

let connection: AgentConnection;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  connection = new AgentConnection(1, '01J8ZQ4X3N0000000000000000', '192.0.2.1');
});

afterEach(() => {
  vi.useRealTimers();
});

describe('messages that cannot be understood', () => {
  const say = (times: number) =>
    Array.from({ length: times }, () => connection.countBad()).includes(true);

  it('are too many when there is one more than the limit within a minute', () => {
    expect(say(MAX_BAD_MESSAGES_PER_MINUTE)).toBe(false);
    vi.advanceTimersByTime(59 * SECOND);
    expect(say(1)).toBe(true);
  });

  it('are forgiven after a minute, for as long as the agent lives', () => {
    for (let minute = 0; minute < 60; minute++) {
      expect(say(MAX_BAD_MESSAGES_PER_MINUTE)).toBe(false);
      vi.advanceTimersByTime(60 * SECOND);
    }
  });
});

describe('the share of a connection in one turn of the loop', () => {
  it('is so many frames, and the same again in the next turn', () => {
    for (const turn of [1, 2]) {
      for (let n = 0; n < MAX_FRAMES_PER_TURN; n++) {
        expect(connection.countFrame(turn, 1)).toBe(true);
      }
      expect(connection.countFrame(turn, 1)).toBe(false);
    }
  });

  it('is so many bytes, however few frames they come in', () => {
    for (const turn of [1, 2]) {
      expect(connection.countFrame(turn, MAX_BYTES_PER_TURN)).toBe(true);
      expect(connection.countFrame(turn, 1)).toBe(false);
    }
  });
});

it('a connection that has left is not greeted any more', () => {
  connection.greet();
  expect(connection.left(), 'it was greeted').toBe(true);
  connection.greet();
  expect([connection.state, connection.isGreeted]).toEqual(['closed', false]);
  expect(connection.left()).toBe(false);
});
