import { expect, test } from 'vitest';
import { RmError } from '../../src/errors.ts';
import { reportTo } from '../../src/loop/scrape-reports.ts';
import type { EventLog } from '../../src/platform/event-log.ts';

test('a failed scrape is logged with the cause behind the error', () => {
  const logged: unknown[] = [];
  const events = { error: (...entry: unknown[]) => logged.push(entry) } as unknown as EventLog;
  const cause = new Error('out of memory');
  const error = new RmError('render_failed', 'the render failed', { cause });
  reportTo(events).onFailure?.(error);
  const fields = { err: error, cause: 'out of memory' };
  expect(logged).toEqual([['scrape_failed', fields, 'scrape failed, answered with 503']]);
});
