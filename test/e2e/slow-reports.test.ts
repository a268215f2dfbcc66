import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { RawConnection } from '../support/http.ts';
import { finished, report } from '../support/reports.ts';
import { Served, sample } from '../support/serve.ts';

const head = (token: string, length: string) =>
  `POST /agent/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${length}\r\n\r\n`;

describe('a body that takes too long', () => {
  const trickle = async (raw: RawConnection, bytesPerSecond: number, seconds: number) => {
    for (let n = 0; n < seconds && !raw.isClosed && raw.text === ''; n++) {
      raw.sendRaw(' '.repeat(bytesPerSecond));
      await sleep(1_000);
    }
  };

  test('is answered with 408 after 30 seconds', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('slow');
    const raw = await RawConnection.open(served.url);
    raw.sendRaw(head(token, 'Content-Length: 1040000'));
    const startedAt = Date.now();
    await trickle(raw, 25_000, 40);
    expect(raw.text).toContain('HTTP/1.1 408 ');
    expect(Date.now() - startedAt).toBeGreaterThan(29_000);
    expect(sample(await served.scrape(), 'rm_agent_refusals_total{reason="bad_report"}')).toBe(1);
    expect(await report(served.url, token, [finished('a')])).toHaveLength(1);
  });

  test('is cut off by uWebSockets.js sooner if it brings less than 16 KiB a second', async () => {
    const served = await Served.start();
    const { token } = await served.addHost('slow');
    const held = await Promise.all(Array.from({ length: 4 }, () => RawConnection.open(served.url)));
    for (const raw of held) raw.sendRaw(head(token, 'Content-Length: 1000'));
    await Promise.all(held.map((raw) => trickle(raw, 1, 25)));
    expect(held.map(({ isClosed, text }) => [isClosed, text])).toEqual(held.map(() => [true, '']));
    expect(await report(served.url, token, [finished('a')]), 'no place is lost').toHaveLength(1);
  });
});
