import { promClientPeer } from '../peers/prom-client.ts';
import { benchHosts } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { libraryTasks } from './library.ts';
import type { RenderBenchData, RenderTask } from './protocol.ts';

export async function tasks({ hosts }: RenderBenchData): Promise<RenderTask[]> {
  const peer = promClientPeer({ hosts: benchHosts(hosts), jobs: jobTable() });
  return libraryTasks('prom-client', peer);
}
