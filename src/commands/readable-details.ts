import type { HostDetailsJson, JobJson } from '../contract/host-details.ts';
import { escaped } from '../platform/readable-log.ts';
import { aligned } from './table.ts';

/** A host for people. Everything that an agent has reported is escaped, because a terminal would execute it. */
export function readableDetails(host: HostDetailsJson): string {
  const facts = [
    ['Host', escaped(host.host)],
    ['Host id', host.host_id],
    ['State', host.state],
    ['Status', host.status],
    ['Agent', escaped(agentOf(host))],
    ['Last backup', lastBackupOf(host)],
    ['Last success', host.last_success_at ?? 'never'],
    ['Repository', repositoryOf(host)],
    ...alertsOf(host),
  ];
  const jobs =
    host.jobs.length === 0
      ? ['No jobs.']
      : [
          `Last ${host.jobs.length === 1 ? 'job' : `${host.jobs.length} jobs`}, newest first:`,
          ...jobLines(host.jobs),
        ];
  return [aligned(facts), '', ...jobs].join('\n');
}

/** JSON for a file or a terminal. Escapes what JSON leaves as it is and a terminal may take for a command. */
export function jsonForTerminal(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(INVISIBLE_IN_JSON, (character) =>
    Array.from({ length: character.length }, (_, at) => {
      return `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
    }).join(''),
  );
}

const INVISIBLE_IN_JSON = /(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu;

function agentOf({ agent_version, restic_version, os, arch }: HostDetailsJson): string {
  const platform = [os, arch].filter((part) => part !== null).join(' ');
  return [
    `version ${agent_version ?? 'unknown'}`,
    `restic ${restic_version ?? 'unknown'}`,
    ...(platform === '' ? [] : [platform]),
  ].join(', ');
}

function lastBackupOf({ last_backup_at, last_backup_success }: HostDetailsJson): string {
  if (last_backup_at === null) return 'never';
  return `${last_backup_at} ${last_backup_success ? 'ok' : 'FAILED'}`;
}

function repositoryOf({ repo_size_bytes, snapshot_count }: HostDetailsJson): string {
  const size = repo_size_bytes === null ? 'size unknown' : `${repo_size_bytes} bytes`;
  return `${size}, ${snapshot_count ?? 'unknown'} snapshots`;
}

function alertsOf({ alerts }: HostDetailsJson): string[][] {
  if (alerts.length === 0) return [['Alerts', 'none']];
  return alerts.map(({ kind, severity, opened_at }, index) => [
    index === 0 ? 'Alerts' : '',
    `${kind} (${severity}) since ${opened_at}`,
  ]);
}

/** A line for each job, followed by the lines of its error. */
function jobLines(jobs: readonly JobJson[]): string[] {
  const table = aligned([
    ['STARTED', 'FINISHED', 'DURATION', 'KIND', 'STATUS', 'EXIT CODE', 'JOB ID'],
    ...jobs.map((job) => [
      job.started_at,
      job.finished_at ?? '-',
      durationOf(job),
      job.kind,
      job.status,
      String(job.exit_code ?? '-'),
      escaped(job.job_id),
    ]),
  ]).split('\n');
  return table.flatMap((line, index) => {
    const job = jobs[index - 1];
    return [line, ...(job === undefined ? [] : notesOf(job))];
  });
}

function notesOf({ error, files_unreadable }: JobJson): string[] {
  const unreadable = files_unreadable ? [`files that could not be read: ${files_unreadable}`] : [];
  const lines = error === null ? [] : error.trimEnd().split(/\r?\n/);
  return [...unreadable, ...lines].map((line) => `    ${escaped(line)}`);
}

function durationOf({ started_at, finished_at }: JobJson): string {
  if (finished_at === null) return '-';
  const ms = Math.max(0, Date.parse(finished_at) - Date.parse(started_at));
  if (ms < 60_000) return `${ms / 1000}s`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = `${Math.floor((ms % 60_000) / 1000)}s`;
  if (minutes < 60) return `${minutes}m ${seconds}`;
  return `${Math.floor(minutes / 60)}h ${minutes % 60}m ${seconds}`;
}
