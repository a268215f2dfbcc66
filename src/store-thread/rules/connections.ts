import { orderOf, type Request } from '../../contract/operations.ts';
import { openAlert, resolveAlert } from './alerts.ts';
import type { Decision, HostRecord } from './records.ts';

/**
 * Marks the host online. If it already has a newer connection to this instance, that one is kept: the
 * hellos of two connections may reach the store in either order. A connection to another instance is
 * replaced.
 */
export function hello(
  host: HostRecord,
  { connection, agent }: Request<'hello'>,
): Decision<{ host: string }> {
  const answer = { host: host.host };
  if (host.connection !== undefined && orderOf(host.connection) > orderOf(connection)) {
    return { answer };
  }
  const online = {
    ...host,
    status: 'online',
    connection,
    isElsewhere: false,
    offlineSinceMs: undefined,
    reportedAtMs: undefined,
    agent,
  } as const;
  return { answer, host: resolveAlert(online, 'agent_offline') };
}

/**
 * Marks a host online again by a connection that has existed all the time: another instance has marked
 * it offline. If the host has connected to another instance in the meantime, that connection is kept.
 */
export function resume(host: HostRecord, connection: number): Decision<null> {
  if (host.connection !== undefined || host.isElsewhere) return { answer: null };
  const online = {
    ...host,
    status: 'online',
    connection,
    offlineSinceMs: undefined,
    reportedAtMs: undefined,
  } as const;
  return { answer: null, host: resolveAlert(online, 'agent_offline') };
}

/** Marks a host online that has sent messages by HTTP. If it has a connection, only its details are updated. */
export function seen(
  host: HostRecord,
  { agent = host.agent }: Request<'seen'>,
  atMs: number,
): Decision<null> {
  if (host.connection !== undefined || host.isElsewhere) {
    return { answer: null, host: { ...host, agent } };
  }
  const online = {
    ...host,
    status: 'online',
    offlineSinceMs: undefined,
    reportedAtMs: atMs,
    agent,
  } as const;
  return { answer: null, host: resolveAlert(online, 'agent_offline') };
}

/**
 * Marks a host offline that was online because of messages over HTTP.
 * @param reportedAtMs the time of the last message that the caller knows. If the host has sent a later one,
 * nothing changes.
 */
export function silent(host: HostRecord, reportedAtMs: number, atMs: number): Decision<null> {
  if (host.reportedAtMs !== reportedAtMs) return { answer: null };
  const offline = { status: 'offline', reportedAtMs: undefined, offlineSinceMs: atMs } as const;
  return { answer: null, host: { ...host, ...offline } };
}

/** How long a host may be silent if its backup interval is unknown. */
const DEFAULT_SILENCE_MS = 26 * 60 * 60 * 1_000;

/** How long a host that reports by HTTP may be silent: 110 % of its backup interval. */
export function allowedSilenceMs({ agent }: HostRecord): number {
  const seconds = agent?.backupIntervalSeconds;
  return seconds === undefined ? DEFAULT_SILENCE_MS : seconds * 1_100;
}

/** Marks the host offline, unless it has another connection. */
export function goodbye(host: HostRecord, connection: number, atMs: number): Decision<null> {
  if (host.connection !== connection) return { answer: null };
  const offline = { status: 'offline', connection: undefined, offlineSinceMs: atMs } as const;
  return { answer: null, host: { ...host, ...offline } };
}

/** Opens the alert of a host that has been offline for too long, unless it has just come back. */
export function offlineTooLong(host: HostRecord, atMs: number): Decision<null> {
  if (host.status !== 'offline') return { answer: null };
  return { answer: null, host: openAlert(host, 'agent_offline', atMs) };
}
