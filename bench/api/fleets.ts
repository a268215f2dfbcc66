import { createHash } from 'node:crypto';
import { JOB_KINDS } from '../../src/contract/jobs.ts';
import type { Operation } from '../../src/contract/operations.ts';
import { Changes } from '../../src/store-thread/changes.ts';
import type { Engine } from '../../src/store-thread/engine.ts';
import { applyReports } from '../../src/store-thread/reports.ts';
import { benchHosts } from '../support/fleet.ts';

const BATCH = 1_000;

/**
 * Fills a database with a fleet whose hosts have reported: each has a version, most have a backup, some failed,
 * and some jobs are running.
 * @returns the tokens of the first hosts
 */
export function fillFleet(engine: Engine, size: number, tokens: number): string[] {
  const now = Date.now();
  const given: string[] = [];
  let enrolled: { hostId: string; host: string; tokenDigest: Uint8Array }[] = [];
  let reports: Operation<'seen' | 'finishJob' | 'startJob'>[] = [];
  const flush = () => {
    engine.transaction(() => engine.addHosts(enrolled));
    engine.transaction(() => applyReports(engine, reports, new Changes()));
    enrolled = [];
    reports = [];
  };
  let index = 0;
  for (const { hostId, host, lastBackup, agentVersion = '', resticVersion } of benchHosts(size)) {
    const token = `token-of-${hostId}`;
    if (index < tokens) given.push(token);
    enrolled.push({ hostId, host, tokenDigest: createHash('sha256').update(token).digest() });
    const agent = {
      agentVersion,
      resticVersion,
      hostname: host,
      os: 'linux',
      arch: 'amd64',
      backupIntervalSeconds: 86_400,
    };
    reports.push(['seen', { hostId, agent }]);
    if (lastBackup !== undefined) {
      const status = lastBackup.succeeded ? 'succeeded' : 'failed';
      const finishedAtMs = now - (index % 25) * 3_600_000;
      const times = { startedAtMs: finishedAtMs - 60_000, finishedAtMs };
      reports.push(['finishJob', { hostId, jobId: 'backup', kind: 'backup', status, ...times }]);
    }
    if (index % 100 === 0) {
      const kind = JOB_KINDS[(index / 100) % JOB_KINDS.length] ?? 'backup';
      reports.push(['startJob', { hostId, jobId: 'running', kind, startedAtMs: now }]);
    }
    index++;
    if (enrolled.length === BATCH) flush();
  }
  flush();
  return given;
}
