import { constants, gzipSync } from 'node:zlib';
import type { FleetPeer } from '../peers/peer.ts';
import type { RenderTask } from './protocol.ts';

/** A library's text as bytes, which is what is sent in the end; compressed at the level that is fastest. */
export function libraryTasks(name: string, peer: FleetPeer): RenderTask[] {
  return [
    {
      name,
      role: 'peer',
      encoding: 'identity',
      render: async () => Buffer.from(await peer.render()),
    },
    {
      name,
      role: 'peer',
      encoding: 'gzip',
      render: async () => gzipSync(await peer.render(), { level: constants.Z_BEST_SPEED }),
    },
  ];
}
