import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { TestAgent } from '../support/agent.ts';
import { Served } from '../support/serve.ts';

const STARTS = 3_000;
const KILLED_AT = 50;

/** The finish of a start that was lost comes without a kind, and would be refused as that of an unknown job. */
test.each(['1', '2'])(
  'a start of a job that was acknowledged is stored, whenever the server is killed (agent_threads=%s)',
  async (threads) => {
    const served = await Served.start({ RM_AGENT_THREADS: threads });
    const { token } = await served.addHost('web');
    const agent = await TestAgent.online(served.agentUrl, token);
    const exited = served.exited();
    const acknowledged = new Set<string>();
    for (let job = 0; job < STARTS; job++) {
      const start = { job_id: `${job}`, kind: 'backup', started_at: '2026-01-02T03:04:05Z' };
      agent.send('job.started', start, `${job}`);
    }
    // Those that are on their way when the server dies count as well.
    for (;;) {
      const ack = await agent.receive('ack').catch(() => undefined);
      if (ack === undefined) break;
      acknowledged.add(String(ack.payload.id));
      if (acknowledged.size === KILLED_AT) void served.stop('SIGKILL');
    }
    expect((await agent.closed).code, 'no goodbye').toBe(1006);
    expect(await exited).toBe('SIGKILL');
    expect(acknowledged.size).toBeGreaterThanOrEqual(KILLED_AT);
    const stored = storedJobs(served.dataDir);
    expect([...acknowledged].filter((job) => !stored.has(job))).toEqual([]);
  },
);

function storedJobs(dataDir: string): Set<string> {
  const db = new DatabaseSync(join(dataDir, 'fleet.db'));
  const rows = db.prepare('SELECT job_id FROM jobs').all();
  db.close();
  return new Set(rows.map((row) => String(row.job_id)));
}
