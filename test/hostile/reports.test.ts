import { describe, expect, test } from 'vitest';
import { RawConnection } from '../support/http.ts';
import { finished, postBody, report } from '../support/reports.ts';
import { addHosts, eventually, Served, sample } from '../support/serve.ts';
import type { Attack } from './attacker.ts';
import { residentMiB, underAttack } from './under-attack.ts';

const SECONDS = 2;
const PATIENT = { retry: 2 };
const AT = '"2026-01-02T03:04:05Z"';

const head = (token: string, length: string) =>
  `POST /agent/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${length}\r\n\r\n`;
const withBody = (token: string, body: string) =>
  `${head(token, `Content-Length: ${body.length}`)}${body}`;
const FINISH = `{"type":"job.finished","id":"{n}","payload":{"job_id":"{n}","kind":"backup","status":"failed","started_at":${AT},"finished_at":${AT}}}`;
const THOUSAND_BAD = `[${Array.from({ length: 1_000 }, () => `{"type":"x","payload":{"a":"${'y'.repeat(900)}"}}`).join(',')}]`;

type Flood = Omit<Attack, 'port' | 'seconds'>;
const FLOODS: readonly (readonly [name: string, flood: (token: string) => Flood])[] = [
  [
    'small requests, one behind the other',
    (token) => ({ repeat: withBody(token, `[${FINISH}]`.padEnd(200)), reads: true }),
  ],
  [
    'requests of 1,000 messages that are all wrong',
    (token) => ({ repeat: withBody(token, THOUSAND_BAD), reads: true }),
  ],
  [
    'bodies of a mebibyte that are no JSON',
    (token) => ({ repeat: withBody(token, `[${'{'.repeat(1_000_000)}`), reads: true }),
  ],
  [
    'bodies of a mebibyte that take long to parse',
    (token) => ({
      repeat: withBody(token, `[${'['.repeat(400_000)}${']'.repeat(400_000)}]`),
      reads: true,
    }),
  ],
  [
    'bodies of a mebibyte with a wrong token',
    () => ({ repeat: withBody('rmh_wrong', `[${' '.repeat(1_000_000)}]`), reads: true }),
  ],
  [
    'a body in chunks of one byte',
    (token) => ({
      prefix: head(token, 'Transfer-Encoding: chunked'),
      repeat: '1\r\n \r\n',
      reads: true,
    }),
  ],
  [
    'a body that has no end',
    (token) => ({
      prefix: head(token, 'Transfer-Encoding: chunked'),
      repeat: `ffff\r\n${' '.repeat(0xffff)}\r\n`,
      reads: true,
    }),
  ],
  ['requests with a wrong token', () => ({ repeat: withBody('rmh_wrong', '[]'), reads: true })],
  [
    'requests for the script',
    () => ({ repeat: 'GET /agent/restic-report HTTP/1.1\r\nHost: x\r\n\r\n', reads: true }),
  ],
];

const FLOODS_BY_THREADS = [
  ['1', FLOODS],
  // What differs with more loops is who gets the sockets, not how a request is handled.
  ['3', FLOODS.slice(0, 2)],
] as const;

describe.each(FLOODS_BY_THREADS)('with agent_threads=%s, a host', (threads, floods) => {
  test.each(floods)('that floods with %s harms nobody else', PATIENT, async (_, flood) => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const { token } = await served.addHost('hostile');
    const outcome = await underAttack(served, Array(2).fill(flood(token)), SECONDS);
    // One body can take a tenth of a second, or two on a busy machine.
    expect(outcome.p99Ms).toBeLessThan(400);
    const { before, highest } = outcome.residentMiB;
    expect(highest - before).toBeLessThan(64 + 64 * Number(threads));
    expect(await served.stop()).toBe(0);
  });
});

test('bodies that never end are limited in memory, and those of other hosts get in again', async () => {
  const served = await Served.start();
  const hosts = await addHosts(served.dataDir, 60);
  const [last] = hosts.splice(-1);
  if (last === undefined) throw new Error('hosts were to be added');
  const before = residentMiB(served.pid);
  const held: RawConnection[] = [];
  for (const { token } of hosts) {
    for (let n = 0; n < 4; n++) {
      const raw = await RawConnection.open(served.url);
      raw.sendRaw(`${head(token, 'Content-Length: 1000000')}[${' '.repeat(900_000)}`);
      held.push(raw);
    }
  }
  // 59 hosts with 4 requests each would need 212 MB.
  await eventually(async () => {
    const { status, headers } = await postBody(served.url, last.token, `[${' '.repeat(800_000)}]`);
    expect([status, headers['retry-after']]).toEqual([503, '1']);
  });
  expect(residentMiB(served.pid) - before).toBeLessThan(150);
  for (const raw of held) raw.vanish();
  await eventually(async () => {
    expect(await report(served.url, last.token, [finished('a')])).toHaveLength(1);
  });
  const count = (code: number) => `rm_agent_requests_total{code="${code}"}`;
  expect(sample(await served.scrape(), count(503))).toBeGreaterThan(0);
  expect(served.log).toContain('"event":"agent_too_many_requests"');
});

test('during a shutdown requests are answered or put off, and nothing acknowledged is lost', async () => {
  const served = await Served.start();
  const hosts = await addHosts(served.dataDir, 20);
  const acknowledged: [token: string, job: string][] = [];
  // Settled, because each sender ends with an error when the server is gone.
  const senders = Promise.allSettled(
    hosts.map(async ({ token }) => {
      for (let n = 0; ; n++) {
        const [answer] = await report(served.url, token, [finished(`job-${n}`)]);
        if (answer?.type === 'ack') acknowledged.push([token, `job-${n}`]);
      }
    }),
  );
  await eventually(() => expect(acknowledged.length).toBeGreaterThan(200));
  expect(await served.stop()).toBe(0);
  await senders;
  const again = await Served.start({}, served.dataDir);
  for (const [token, job] of acknowledged) {
    const other = { job_id: job, kind: 'check', started_at: '2026-01-02T03:04:05Z' };
    const [answer] = await report(again.url, token, [{ type: 'job.started', payload: other }]);
    expect(answer?.payload.code, 'the id belongs to a job that is stored').toBe('job_conflict');
  }
});
