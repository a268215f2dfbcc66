import type { Answer, Gone, Operation, Request } from '../contract/operations.ts';
import type { Changes } from './changes.ts';
import type { Engine } from './engine.ts';
import { Named, type Rows } from './rows.ts';
import { goodbye, hello, offlineTooLong, resume, seen, silent } from './rules/connections.ts';
import { finishJob, startJob } from './rules/jobs.ts';
import type { Decision, HostRecord, JobRecord } from './rules/records.ts';
import { repoStats } from './rules/repository.ts';

/** What agents report, and `silent`, `resume` and `offline`, which the store itself reports. */
export type ReportName =
  | 'hello'
  | 'goodbye'
  | 'seen'
  | 'silent'
  | 'resume'
  | 'startJob'
  | 'finishJob'
  | 'repoStats'
  | 'offline';
export type Report = Operation<ReportName>;

/** One rule per kind of report. */
const RULES: {
  readonly [N in ReportName]: (
    host: HostRecord,
    request: Request<N>,
    job: JobRecord | undefined,
    nowMs: number,
  ) => Decision<Answer<N>>;
} = {
  hello,
  goodbye: (host, { connection, atMs }, _, nowMs) => goodbye(host, connection, atMs ?? nowMs),
  seen: (host, request, _, nowMs) => seen(host, request, nowMs),
  silent: (host, { reportedAtMs }, _, nowMs) => silent(host, reportedAtMs, nowMs),
  resume: (host, { connection }) => resume(host, connection),
  startJob: (host, request, job) => startJob(host, job, request),
  finishJob: (host, request, job, nowMs) => finishJob(host, job, request, nowMs),
  repoStats,
  offline: (host, _, __, nowMs) => offlineTooLong(host, nowMs),
};

export function isReport(operation: Operation): operation is Report {
  return operation[0] in RULES;
}

/**
 * Loads the rows that the reports name, applies the rules, and writes the rows that they changed.
 * @param changes receives what must be published after the commit
 * @returns the answers in the order of the reports
 */
export function applyReports(
  engine: Engine,
  reports: readonly Report[],
  changes: Changes,
): Answer<ReportName>[] {
  const rows = engine.load(namedIn(reports));
  const nowMs = engine.now();
  const answers = reports.map((report) => apply(report, rows, changes, nowMs));
  engine.write(rows);
  for (const { after } of rows.changedHosts()) changes.hosts.set(after.hostId, after);
  return answers;
}

/**
 * Locks the hosts that the reports name. To be called before several calls of `applyReports` in one transaction, so that
 * it locks all its hosts at once: otherwise instances could deadlock.
 */
export function lockHosts(engine: Engine, reports: readonly Report[]): void {
  const { hostIds } = namedIn(reports);
  const hosts = new Named();
  for (const hostId of hostIds) hosts.hostIds.add(hostId);
  engine.load(hosts);
}

function namedIn(reports: readonly Report[]): Named {
  const named = new Named();
  for (const [, request] of reports) {
    named.hostIds.add(request.hostId);
    if ('jobId' in request) named.jobs.push(request);
  }
  return named;
}

function apply<N extends ReportName>(
  [name, request]: Operation<N>,
  rows: Rows,
  changes: Changes,
  nowMs: number,
): Answer<N> | Gone {
  const host = rows.host(request.hostId);
  if (host === undefined) return 'gone';
  const job = 'jobId' in request ? rows.job(request.hostId, request.jobId) : undefined;
  const decision = RULES[name](host, request, job, nowMs);
  if (decision.host !== undefined) rows.setHost(decision.host);
  if (decision.job !== undefined) rows.setJob(decision.job);
  if (name === 'hello' || name === 'goodbye') {
    const { hostId, connection } = request as Request<'hello' | 'goodbye'>;
    changes.appearances.push({ hostId, connection, online: name === 'hello' });
  }
  if (name === 'seen') changes.seen.add(request.hostId);
  if (name === 'silent') changes.silent.add(request.hostId);
  return decision.answer;
}
