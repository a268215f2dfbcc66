import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ulid } from 'ulid';
import { Changes } from '../src/store-thread/changes.ts';
import { applyReports } from '../src/store-thread/reports.ts';
import { openDatabase } from '../src/store-thread/sqlite/database.ts';
import { SqliteEngine } from '../src/store-thread/sqlite/engine.ts';
import type { BenchDefinition } from './support/bench.ts';
import { seededRandom } from './support/random.ts';
import { rowsOf } from './support/result.ts';

const HOSTS = 1_000;
const JOBS_PER_HOST = 90;
const BATCH = 1_000;

/** Kinds of jobs, each with the error text that its report has. */
const JOBS = [
  { contestant: 'a successful job', error: undefined },
  { contestant: 'a failed job, error of 500 characters', error: 'x'.repeat(500) },
  { contestant: 'a failed job, error of 4,096 characters', error: 'x'.repeat(4_096) },
] as const;

export const disk: BenchDefinition = {
  name: 'disk',
  question: 'How much does the database grow for each host and each job?',
  async run({ quick, progress }) {
    const scenario = { hosts: HOSTS };
    progress.scenario(`${HOSTS} hosts`);
    const sizes = JOBS.map(({ contestant, error }) => ({
      contestant,
      ...sizesOf(error, quick ? 1 : JOBS_PER_HOST),
    }));
    const [first] = sizes;
    const hostRow = { contestant: 'a host', kib: first?.hostKib ?? 0 };
    const jobRows = sizes.map(({ contestant, jobKib }) => ({ contestant, kib: jobKib }));
    return {
      rows: rowsOf(
        { measure: 'growth of the database', unit: 'KiB', scenario },
        [hostRow, ...jobRows].map(({ contestant, kib }) => ({
          contestant,
          role: 'own',
          rounds: [[kib]],
        })),
      ),
      notes: [
        `The growth of fleet.db after a checkpoint, divided by the number of rows: ${HOSTS} hosts that have connected, then ${JOBS_PER_HOST} jobs of each, in random order. Job ids are UUIDs.`,
        'A job is kept for 30 days. SQLite reuses the space of deleted jobs, and does not make the file smaller.',
        'The write-ahead log (fleet.db-wal) needs some megabytes in addition.',
      ],
    };
  },
};

function sizesOf(error: string | undefined, jobsPerHost: number) {
  const dataDir = mkdtempSync(join(tmpdir(), 'restic-manager-bench-'));
  try {
    const db = openDatabase(dataDir);
    const engine = new SqliteEngine(db, dataDir, { serves: true, onForgottenJobs: () => {} });
    const size = () => {
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      return statSync(join(dataDir, 'fleet.db')).size / 1024;
    };
    const empty = size();
    const hostIds = Array.from({ length: HOSTS }, () => ulid());
    engine.transaction(() => {
      for (const [n, hostId] of hostIds.entries()) {
        engine.addHost(hostId, `host-${n}.example.com`, randomBytes(32));
      }
    });
    report(
      engine,
      hostIds.map((hostId, connection) => ['hello', { hostId, connection, agent: AGENT }] as const),
    );
    const withHosts = size();
    const jobs = hostIds.flatMap((hostId) => Array.from({ length: jobsPerHost }, () => hostId));
    shuffle(jobs);
    const now = Date.now();
    for (let from = 0; from < jobs.length; from += BATCH) {
      const finishes = jobs.slice(from, from + BATCH).map((hostId) => {
        const job = {
          hostId,
          jobId: randomUUID(),
          kind: 'backup',
          startedAtMs: now - 60_000,
          finishedAtMs: now,
          status: error === undefined ? 'succeeded' : 'failed',
          exitCode: error === undefined ? 0 : 1,
          error,
        } as const;
        return ['finishJob', job] as const;
      });
      report(engine, finishes);
    }
    const withJobs = size();
    engine.close();
    return { hostKib: (withHosts - empty) / HOSTS, jobKib: (withJobs - withHosts) / jobs.length };
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

function shuffle(items: unknown[]): void {
  const random = seededRandom(1);
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [items[last], items[other]] = [items[other], items[last]];
  }
}

const AGENT = {
  agentVersion: 'restic-report 0.1.0',
  hostname: 'host.example.com',
  resticVersion: '0.18.0',
  os: 'linux',
  arch: 'amd64',
};

function report(engine: SqliteEngine, reports: Parameters<typeof applyReports>[1]): void {
  engine.transaction(() => applyReports(engine, reports, new Changes()));
}
