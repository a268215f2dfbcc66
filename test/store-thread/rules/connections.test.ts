import { describe, expect, it } from 'vitest';
import { CONNECTIONS_PER_LOOP } from '../../../src/contract/operations.ts';
import {
  allowedSilenceMs,
  goodbye,
  hello,
  offlineTooLong,
  resume,
  seen,
  silent,
} from '../../../src/store-thread/rules/connections.ts';
import { AT, OFFLINE, ONLINE, REPORTING } from './record.ts';

const AGENT = { agentVersion: '2', hostname: 'new', backupIntervalSeconds: 3_600 };
const OFFLINE_ALERT = { ...OFFLINE, alerts: { agent_offline: AT, check_failed: AT } };

describe('a hello', () => {
  it('makes a host online, whatever it was, and ends its alert', () => {
    const { answer, host } = hello(OFFLINE_ALERT, { hostId: '', connection: 9, agent: AGENT });
    expect(answer).toEqual({ host: 'web' });
    const expected = { ...ONLINE, connection: 9, agent: AGENT, alerts: { check_failed: AT } };
    expect(host).toEqual(expected);
    const reporting = hello(REPORTING, { hostId: '', connection: 9, agent: AGENT });
    expect(reporting.host).toEqual({ ...ONLINE, connection: 9, agent: AGENT });
    const elsewhere = { ...ONLINE, connection: undefined, isElsewhere: true };
    expect(hello(elsewhere, { hostId: '', connection: 9, agent: AGENT }).host).toEqual({
      ...ONLINE,
      connection: 9,
      agent: AGENT,
    });
  });

  it('of an older connection changes nothing, whatever the loop', () => {
    const older = 2 * CONNECTIONS_PER_LOOP + 6;
    expect(hello(ONLINE, { hostId: '', connection: older, agent: AGENT }).host).toBeUndefined();
    expect(hello(ONLINE, { hostId: '', connection: 7, agent: AGENT }).host?.agent).toBe(AGENT);
  });
});

describe('a goodbye', () => {
  it('makes a host offline since then', () => {
    expect(goodbye(ONLINE, 7, AT + 1).host).toEqual({ ...OFFLINE, offlineSinceMs: AT + 1 });
  });

  it('of another connection changes nothing', () => {
    expect(goodbye(ONLINE, 6, AT).host).toBeUndefined();
    expect(goodbye(REPORTING, 6, AT).host).toBeUndefined();
  });
});

describe('messages by HTTP', () => {
  it('make a host online since then, and end its alert', () => {
    const { host } = seen(OFFLINE_ALERT, { hostId: '' }, AT + 1);
    expect(host).toEqual({ ...REPORTING, reportedAtMs: AT + 1, alerts: { check_failed: AT } });
  });

  it.each([ONLINE, { ...ONLINE, connection: undefined, isElsewhere: true }])(
    'update only the details of a host that has a connection, here or elsewhere',
    (host) => {
      expect(seen(host, { hostId: '', agent: AGENT }, AT).host).toEqual({ ...host, agent: AGENT });
      expect(seen(host, { hostId: '' }, AT).host?.agent).toBe(host.agent);
    },
  );
});

describe('the silence of a host that reports by HTTP', () => {
  it('makes it offline since then, unless it has reported in the meantime', () => {
    expect(silent(REPORTING, AT, AT + 9).host).toEqual({ ...OFFLINE, offlineSinceMs: AT + 9 });
    expect(silent(REPORTING, AT - 1, AT + 9).host).toBeUndefined();
    expect(silent(ONLINE, AT, AT + 9).host).toBeUndefined();
  });

  it('may last for its interval and a tenth, or for 26 hours if that is unknown', () => {
    const HOUR_MS = 3_600_000;
    expect(allowedSilenceMs({ ...OFFLINE, agent: AGENT })).toBe(3_960_000);
    expect(allowedSilenceMs(OFFLINE)).toBe(26 * HOUR_MS);
    expect(allowedSilenceMs({ ...OFFLINE, agent: undefined })).toBe(26 * HOUR_MS);
  });
});

it('a host that came back just before its alert was due gets none, and an open one keeps its time', () => {
  expect(offlineTooLong(OFFLINE, AT + 9).host?.alerts).toEqual({ agent_offline: AT + 9 });
  expect(offlineTooLong(OFFLINE_ALERT, AT + 9).host?.alerts.agent_offline).toBe(AT);
  for (const host of [ONLINE, REPORTING, { ...OFFLINE, status: 'pending' as const }]) {
    expect(offlineTooLong(host, AT + 9).host).toBeUndefined();
  }
});

it('a connection that another instance took for gone is resumed, unless there is another one', () => {
  expect(resume(OFFLINE_ALERT, 7).host).toEqual({ ...ONLINE, alerts: { check_failed: AT } });
  expect(resume(REPORTING, 7).host).toEqual(ONLINE);
  expect(resume({ ...ONLINE, connection: 8 }, 7).host).toBeUndefined();
  expect(resume({ ...OFFLINE, isElsewhere: true }, 7).host).toBeUndefined();
});
