import { describe, expect, test } from 'vitest';
import { Served, sample } from '../support/serve.ts';
import type { Attack } from './attacker.ts';
import { underAttack } from './under-attack.ts';

const SECONDS = 2;
/** On a busy machine others take the time that is measured here; without the bounds it is some seconds. */
const PATIENT = { retry: 2 };
type Flood = Omit<Attack, 'port' | 'seconds'>;

const request = (line: string, headers = '') => `${line} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
const POST = request('POST /metrics', 'Transfer-Encoding: chunked\r\n');

/** From a stranger, who has no token. */
const HTTP_FLOODS: readonly (readonly [name: string, flood: Flood])[] = [
  ['GET /healthz', { repeat: request('GET /healthz'), reads: true }],
  ['GET /healthz whose answers are not read', { repeat: request('GET /healthz'), reads: false }],
  ['GET /metrics without a token', { repeat: request('GET /metrics'), reads: true }],
  ['an unknown path', { repeat: request('GET /nope'), reads: true }],
  [
    'GET /ws/agent with a wrong token',
    {
      repeat: request('GET /ws/agent', 'Authorization: Bearer wrong\r\n'),
      reads: true,
    },
  ],
  [
    'small POST requests',
    {
      repeat: `${request('POST /metrics', 'Content-Length: 1\r\n')}x`,
      reads: true,
    },
  ],
  [
    'a POST body in chunks of one byte',
    {
      prefix: POST,
      repeat: '1\r\nx\r\n',
      reads: true,
    },
  ],
];

describe.each(['1', '3'])('with agent_threads=%s, a stranger', (threads) => {
  test.each(HTTP_FLOODS)(
    'that floods with %s does not delay an agent',
    PATIENT,
    async (_, flood) => {
      const served = await Served.start({ RM_AGENT_THREADS: threads });
      // One attacker for each loop.
      const outcome = await underAttack(served, Array(Number(threads)).fill(flood), SECONDS);
      expect(outcome.p99Ms).toBeLessThan(100);
      expect(outcome.attack.connections, 'cut off').toBeGreaterThan(1);
      const body = await served.scrape();
      const refusals = ['too_many_requests', 'unauthorized'].map((reason) =>
        sample(body, `rm_agent_refusals_total{reason="${reason}"}`),
      );
      expect(Math.max(...refusals.map(Number))).toBeGreaterThan(0);
      expect(await served.stop()).toBe(0);
    },
  );
});

const upgrade = (token: string) =>
  request(
    'GET /ws/agent',
    `Authorization: Bearer ${token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`,
  );
const HELLO = JSON.stringify({
  type: 'hello',
  payload: { protocol_version: 1, agent_version: '1', hostname: 'hostile' },
});
const message = (type: string, payload: string) =>
  `{"type":"${type}","id":"{n}","payload":${payload}}`;
const AT = '"2026-01-02T03:04:05Z"';

const WEBSOCKET_FLOODS: readonly (readonly [
  name: string,
  flood: Pick<Flood, 'repeat' | 'opcode' | 'reads'>,
])[] = [
  [
    'heartbeats',
    { opcode: 1, repeat: `{"type":"heartbeat","payload":{"sent_at":${AT}}}`, reads: true },
  ],
  ['pings', { opcode: 9, repeat: '', reads: true }],
  ['pings whose pongs are not read', { opcode: 9, repeat: 'x'.repeat(100), reads: false }],
  ['pongs', { opcode: 10, repeat: '', reads: true }],
  ['empty frames', { opcode: 1, repeat: '', reads: true }],
  ['empty binary frames', { opcode: 2, repeat: '', reads: true }],
  [
    'job.started',
    {
      opcode: 1,
      repeat: message('job.started', `{"job_id":"{n}","kind":"backup","started_at":${AT}}`),
      reads: true,
    },
  ],
  [
    'job.started whose answers are not read',
    {
      opcode: 1,
      repeat: message('job.started', `{"job_id":"{n}","kind":"backup","started_at":${AT}}`),
      reads: false,
    },
  ],
  [
    'job.finished',
    {
      opcode: 1,
      repeat: message(
        'job.finished',
        `{"job_id":"{n}","kind":"backup","status":"failed","started_at":${AT},"finished_at":${AT}}`,
      ),
      reads: true,
    },
  ],
  [
    'long errors',
    {
      opcode: 1,
      repeat: message(
        'job.finished',
        `{"job_id":"{n}","kind":"backup","status":"failed","started_at":${AT},"finished_at":${AT},"error":"${'e'.repeat(60_000)}"}`,
      ),
      reads: true,
    },
  ],
  ['hellos', { opcode: 1, repeat: HELLO, reads: true }],
];

describe.each(['1', '3'])('with agent_threads=%s, an enrolled agent', (threads) => {
  test.each(WEBSOCKET_FLOODS)(
    'that floods with %s harms nobody else',
    PATIENT,
    async (_, flood) => {
      const served = await Served.start({ RM_AGENT_THREADS: threads });
      const { token } = await served.addHost('hostile');
      const attack = { ...flood, upgradeWith: upgrade(token), greeting: HELLO };
      const outcome = await underAttack(served, [attack], SECONDS);
      expect(outcome.p99Ms).toBeLessThan(250);
      const { before, highest } = outcome.residentMiB;
      expect(highest - before).toBeLessThan(64);
      expect(await served.stop()).toBe(0);
    },
  );
});
