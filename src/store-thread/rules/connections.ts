import { orderOf, type Request } from '../../contract/operations.ts';
import { openAlert, resolveAlert } from './alerts.ts';
import type { Decision, HostRecord } from './records.ts';

/**
 * Marks the host online. If it already has a newer connection, that one is kept: the hellos of two
 * connections may reach the store in either order.
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
    offlineSinceMs: undefined,
    reportedAtMs: undefined,
    agent,
  } as const;
  return { answer, host: resolveAlert(online, 'agent_offline') };
}

/** Marks a host online that has sent messages by HTTP. If it has a connection, only its details are updated. */
export function seen(
  host: HostRecord,
  { agent = host.agent }: Request<'seen'>,
  atMs: number,
): Decision<null> {
  if (host.connection !== undefined) return { answer: null, host: { ...host, agent } };
  const online = {
    ...host,
    status: 'online',
    offlineSinceMs: undefined,
    reportedAtMs: atMs,
    agent,
  } as const;
  return { answer: null, host: resolveAlert(online, 'agent_offline') };
}

/** Marks a host offline that was online because of messages over HTTP. */
export function silent(host: HostRecord, atMs: number): Decision<null> {
  if (host.reportedAtMs === undefined) return { answer: null };
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

/** Opens the alert of a host that has been offline for too long. */
export function offlineTooLong(host: HostRecord, atMs: number): Decision<null> {
  return { answer: null, host: openAlert(host, 'agent_offline', atMs) };
}
