import { setImmediate } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { REPORT_BODY_MS } from '../../../src/loop/agents/limits.ts';
import { RawConnection } from '../../support/http.ts';
import { eventually } from '../../support/serve.ts';
import { EndpointRig } from './endpoint-rig.ts';

/** Waits without a timer, because a test may have stopped the clock. */
async function turnsUntil(isDone: () => boolean): Promise<void> {
  while (!isDone()) await setImmediate();
}

describe('a body that is not complete after 30 s', () => {
  /** Begins a report, and waits until the endpoint has its head. */
  async function begin(rig: EndpointRig, token: string): Promise<RawConnection> {
    const timers = vi.getTimerCount();
    const raw = await RawConnection.open(rig.url);
    const headers = [`Authorization: Bearer ${token}`, 'Content-Length: 1000'];
    raw.send('POST', '/agent/messages', headers, '[');
    await turnsUntil(() => vi.getTimerCount() > timers);
    return raw;
  }

  test('is refused, but not that of a client that has left before', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    (await begin(rig, token)).vanish();
    await turnsUntil(() => rig.openSockets === 0);
    vi.advanceTimersByTime(REPORT_BODY_MS);
    expect(rig.refused('bad_report')).toBe(0);

    const slow = await begin(rig, token);
    vi.advanceTimersByTime(REPORT_BODY_MS - 1);
    expect(rig.refused('bad_report'), 'a moment before').toBe(0);
    vi.advanceTimersByTime(1);
    expect(rig.refused('bad_report')).toBe(1);
    await slow.until(({ isClosed }) => isClosed);
    expect(slow.text).toMatch(/^HTTP\/1.1 408 /);
  });
});

describe('the drain of the endpoint', () => {
  const head = (token: string, length: number) => [
    `Authorization: Bearer ${token}`,
    `Content-Length: ${length}`,
  ];

  /** Sends a report and waits for the answer. The endpoint has then read what others sent before. */
  async function reportAll(rig: EndpointRig, token: string): Promise<void> {
    const raw = await RawConnection.open(rig.url);
    raw.send('POST', '/agent/messages', head(token, 2), '[]');
    await raw.until(({ text }) => text.includes('200 OK'));
    raw.vanish();
  }

  async function secondsToDrain(rig: EndpointRig): Promise<number> {
    const startedAt = performance.now();
    await rig.endpoint.drain(30_000);
    return (performance.now() - startedAt) / 1_000;
  }

  test('does not wait for reports that broke off before their bodies were complete', async () => {
    const rig = await EndpointRig.start();
    const token = await rig.enrol('web');
    const raw = await RawConnection.open(rig.url);
    raw.send('POST', '/agent/messages', head(token, 10), '[');
    await reportAll(rig, token);
    raw.vanish();
    await eventually(() => expect(rig.openSockets).toBe(0));
    expect(await secondsToDrain(rig)).toBeLessThan(10);
  });

  test('does not wait for reports that were refused while their bodies arrived', async () => {
    const rig = await EndpointRig.start();
    const raw = await RawConnection.open(rig.url);
    const token = await rig.enrol('web');
    const tooLong = ['Transfer-Encoding: chunked', `Authorization: Bearer ${token}`];
    const chunk = `${(2 ** 20 + 1).toString(16)}\r\n${' '.repeat(2 ** 20 + 1)}\r\n0\r\n\r\n`;
    raw.send('POST', '/agent/messages', tooLong, chunk);
    await raw.until(({ text }) => text.includes(' 413 '));
    expect(await secondsToDrain(rig)).toBeLessThan(10);
  });
});
