import { openTelemetryPeer } from '../peers/opentelemetry.ts';
import { benchHosts } from '../support/fleet.ts';
import { jobTable } from '../support/jobs.ts';
import { libraryTasks } from './library.ts';
import type { RenderBenchData, RenderTask } from './protocol.ts';

export async function tasks({ hosts }: RenderBenchData): Promise<RenderTask[]> {
  const peer = openTelemetryPeer({ hosts: benchHosts(hosts), jobs: jobTable() });
  return libraryTasks('OpenTelemetry', peer);
}
