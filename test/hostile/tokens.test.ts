import { describe, expect, test } from 'vitest';
import { Served, sample } from '../support/serve.ts';
import { underAttack } from './under-attack.ts';

const CLIENTS = 200;

describe.each(['1', '3'])('with agent_threads=%s, many clients with wrong tokens', (threads) => {
  test('do not delay an agent, and each is answered 401', async () => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    // Each connection asks once: uWebSockets.js closes it at the second request, since the store is asked first.
    const repeat = 'GET /ws/agent HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {n}\r\n\r\n';
    const attack = { repeat, reads: true };
    const outcome = await underAttack(served, Array(2).fill(attack), 3);
    expect(outcome.p99Ms).toBeLessThan(250);
    const body = await served.scrape();
    const refusals = sample(body, 'rm_agent_refusals_total{reason="unauthorized"}') ?? 0;
    expect(refusals).toBeGreaterThan(CLIENTS);
    expect(sample(body, 'rm_store_pending_operations')).toBeLessThan(10);
  });
});

test('a token of 5,000 characters is refused at the start, by name and limit', async () => {
  await expect(Served.start({ RM_METRICS_TOKEN: 'x'.repeat(5_000) })).rejects.toThrow(
    /RM_METRICS_TOKEN: must be 1 to 1024 visible ASCII characters/,
  );
  const longest = 'x'.repeat(1_024);
  const served = await Served.start({ RM_METRICS_TOKEN: longest });
  const headers = { Authorization: `Bearer ${longest}` };
  expect((await fetch(served.metricsUrl, { headers })).status).toBe(200);
});
