import { constants, gzipSync } from 'node:zlib';
import type { FleetPeer } from '../peers/peer.ts';
import type { RenderTask } from './protocol.ts';

/**
 * The tasks of a library: its text as bytes, which a server has to send, and the same compressed at
 * the fastest level.
 */
export function libraryTasks(name: string, peer: FleetPeer): RenderTask[] {
  const identity = async () => Buffer.from(await peer.render());
  const gzip = async () => gzipSync(await peer.render(), { level: constants.Z_BEST_SPEED });
  return [
    { name, role: 'peer', encoding: 'identity', render: identity, body: identity },
    { name, role: 'peer', encoding: 'gzip', render: gzip, body: gzip },
  ];
}
