import { expect, test } from 'vitest';
import { reportApiTo } from '../../src/loop/api-reports.ts';
import type { EventLog } from '../../src/platform/event-log.ts';

test('a request of the API that failed or was refused is logged with the cause', () => {
  const logged: unknown[] = [];
  const events = {
    error: (...entry: unknown[]) => logged.push(['error', ...entry]),
    warn: (...entry: unknown[]) => logged.push(['warn', ...entry]),
  } as unknown as EventLog;
  const { onFailure, onRefusal } = reportApiTo(events);
  onFailure('api_too_late', 'PostgreSQL: no connection yet');
  onRefusal({ gate: 'token and network', client: '192.0.2.7' });
  expect(logged).toEqual([
    [
      'error',
      'api_failed',
      { code: 'api_too_late', error: 'PostgreSQL: no connection yet' },
      'the API could not read all data for an answer',
    ],
    [
      'warn',
      'api_refused',
      { gate: 'token and network', address: '192.0.2.7' },
      'a request of the API was refused',
    ],
  ]);
});
