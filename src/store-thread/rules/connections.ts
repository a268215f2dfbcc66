import { orderOf, type Request } from '../../contract/operations.ts';
import { openAlert, resolveAlert } from './alerts.ts';
import type { Decision, HostRecord } from './records.ts';

/** Of two connections of a host the newer one stays, whichever says hello first. */
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

/** The end of a connection changes nothing if the host has a newer one. */
export function goodbye(host: HostRecord, connection: number, atMs: number): Decision<null> {
  if (host.connection !== connection) return { answer: null };
  const offline = { status: 'offline', connection: undefined, offlineSinceMs: atMs } as const;
  return { answer: null, host: { ...host, ...offline } };
}

/** The host has been offline for too long. */
export function offlineTooLong(host: HostRecord, atMs: number): Decision<null> {
  return { answer: null, host: openAlert(host, 'agent_offline', atMs) };
}
