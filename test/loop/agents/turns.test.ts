import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Turns } from '../../../src/loop/agents/turns.ts';

test('each turn of the loop has one number, higher than that of the turn before', async () => {
  const turns = new Turns();
  let last = -1;
  for (let n = 0; n < 3; n++) {
    const { current } = turns;
    expect(current).toBeGreaterThan(last);
    await Promise.resolve();
    expect(turns.current, 'in the same turn').toBe(current);
    last = current;
    await setImmediate();
  }
});
