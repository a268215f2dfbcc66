import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RENDER_LIMIT_MS } from '../../src/contract/encoding.ts';
import { ANSWER_LIMIT_MS, READ_LIMIT_MS } from '../../src/contract/queries.ts';
import {
  MAX_BAD_MESSAGES_PER_MINUTE,
  MAX_BYTES_PER_TURN,
  MAX_DISCARDED_BYTES,
  MAX_FRAMES_PER_TURN,
  MAX_IN_STORE,
  MAX_LOOKUPS,
  MAX_PARSING_MS_PER_TURN,
  MAX_REPORT_BYTES,
  MAX_REPORT_BYTES_PER_LOOP,
  MAX_REPORT_CHUNKS,
  MAX_REPORT_MESSAGES,
  MAX_REPORTS_PER_HOST,
  MAX_SHARE_OF_HOST,
  MAX_UNANSWERED,
  MAX_UNGREETED_PER_HOST,
  MAX_UNREAD_BYTES,
  REPORT_BODY_MS,
} from '../../src/loop/agents/limits.ts';
import { MAX_MESSAGE_BYTES } from '../../src/loop/agents/protocol.ts';
import { MAX_WAITING_QUERIES } from '../../src/loop/doors/query-thread.ts';
import { EVENTS } from '../../src/platform/event-log.ts';
import { FAMILIES } from '../../src/shared/families.ts';
import { REFUSALS } from '../../src/shared/server-stats.ts';
import { MAX_REMEMBERED, MAX_UNFINISHED } from '../../src/store-thread/sqlite/jobs.ts';

const page = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');

test.each(REFUSALS)('the reason %s is explained', (reason) => {
  expect(page).toMatch(new RegExp(`^\\| [^|]*\`${reason}\`[^|]* \\|`, 'm'));
});

test.each(EVENTS)('the event %s is listed', (event) => {
  expect(page).toMatch(new RegExp(`^\\| [^|]*\`${event}\`[^|]* \\|`, 'm'));
});

test('every counter that it names is a family', () => {
  const names = FAMILIES.map(({ name }) => name);
  const named = [...page.matchAll(/`(rm_[a-z_]+)(?:\{[^`]*\})?`/g)].map(([, name]) => name);
  expect(named.length).toBeGreaterThan(10);
  for (const name of new Set(named)) expect(names).toContain(name);
});

const number = (value: number) => value.toLocaleString('en');
const kib = (bytes: number) => `${number(bytes / 1_024)} KiB`;
const mib = (bytes: number) => `${number(bytes / 1_024 ** 2)} MiB`;

test.each([
  ['frames, pings and pongs', `${number(MAX_FRAMES_PER_TURN)}, and ${mib(MAX_BYTES_PER_TURN)}`],
  ['unanswered messages of a host', MAX_UNANSWERED],
  ['messages of a host in the store', MAX_IN_STORE],
  ['connections of a host without a hello', MAX_UNGREETED_PER_HOST],
  ['requests with an unknown token', MAX_LOOKUPS],
  ['requests that wait for an answer', MAX_WAITING_QUERIES],
  ['bad messages of a connection', MAX_BAD_MESSAGES_PER_MINUTE],
  ['unfinished jobs of a host', MAX_UNFINISHED],
  ['jobs of a host, finished or not', MAX_REMEMBERED],
  ['a message |', kib(MAX_MESSAGE_BYTES)],
  ['answers that an agent does not read', mib(MAX_UNREAD_BYTES)],
  [
    'body of a request |',
    `${mib(MAX_REPORT_BYTES)} and ${number(MAX_REPORT_MESSAGES)} messages; the server reads and discards up to ${mib(MAX_DISCARDED_BYTES)} more`,
  ],
  ['chunks of a body', MAX_REPORT_CHUNKS],
  ['time until the body is complete', `${REPORT_BODY_MS / 1_000} s`],
  ['open requests of a host', MAX_REPORTS_PER_HOST],
  ['bodies that a loop holds at one time', mib(MAX_REPORT_BYTES_PER_LOOP)],
  ['time for parsing messages in one turn', `${MAX_PARSING_MS_PER_TURN} ms`],
  ["share of a loop's time", MAX_SHARE_OF_HOST === 0.1 ? 'a tenth' : `${MAX_SHARE_OF_HOST}`],
])('the bound of %s has the value of the code', (bound, value) => {
  const row = page.split('\n').find((line) => line.startsWith(`| ${bound}`));
  expect(row).toContain(`| ${typeof value === 'number' ? number(value) : value}`);
});

test.each([
  ['time until a body is ready', RENDER_LIMIT_MS],
  ['PostgreSQL: time of one read for the API', READ_LIMIT_MS],
  ['time until an answer', ANSWER_LIMIT_MS],
])('the limit of the %s has the value of the code', (limit, ms) => {
  const row = page.split('\n').find((line) => line.startsWith(`| ${limit} `));
  expect(row).toMatch(new RegExp(`\\| ${ms / 1_000} s\\b`));
});
