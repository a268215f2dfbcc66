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
    agent,
  } as const;
  return { answer, host: resolveAlert(online, 'agent_offline') };
}

/** Marks the host offline, unless it is online by another connection. */
export function goodbye(host: HostRecord, connection: number, atMs: number): Decision<null> {
  if (host.connection !== connection) return { answer: null };
  const offline = { status: 'offline', connection: undefined, offlineSinceMs: atMs } as const;
  return { answer: null, host: { ...host, ...offline } };
}

/** Opens the alert of a host that has been offline for too long. */
export function offlineTooLong(host: HostRecord, atMs: number): Decision<null> {
  return { answer: null, host: openAlert(host, 'agent_offline', atMs) };
}
