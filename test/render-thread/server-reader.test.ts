import { expect, test } from 'vitest';
import { ServerReader } from '../../src/render-thread/server-reader.ts';
import { PROCESS_CELL } from '../../src/shared/server-families.ts';

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

test('the CPU time is that in the program and that in the system, in seconds', () => {
  const before = cpuSeconds();
  const shown = new ServerReader(undefined).read()[PROCESS_CELL.cpuSeconds];
  expect(shown).toBeGreaterThanOrEqual(before);
  expect(shown).toBeLessThanOrEqual(cpuSeconds());
});
