import { byId, element, foreign, replaceIfChanged, setText, timeElement } from './dom.ts';
import { reasonNodes } from './host-list.ts';
import type { Alert, HostDetails, Job } from './model.ts';
import { ago, bytes, count, duration, moment, number } from './units.ts';
import { alertName, causeIn, jobResult, lastLine, reasons, STATE_LABELS } from './words.ts';

/** An error text with more lines is folded. */
const SHORT_LINES = 3;

/** One host with its facts, alerts and last jobs. */
export class HostView {
  readonly #name = byId('host-name', HTMLElement);
  readonly #reasons = byId('host-reasons', HTMLElement);
  readonly #facts = byId('facts', HTMLElement);
  readonly #alerts = byId('host-alerts', HTMLElement);
  readonly #jobs = byId('jobs', HTMLElement);
  /** The ids of the jobs whose errors the user has unfolded. */
  readonly #unfolded = new Set<string>();

  show(host: HostDetails, nowMs: number): void {
    const badge = element('span', `badge ${host.state}`, STATE_LABELS[host.state]);
    replaceIfChanged(this.#name, foreign(host.host), ' ', badge);
    replaceIfChanged(this.#reasons, ...reasonNodes(reasons(host, nowMs, causeIn(host))));
    replaceIfChanged(this.#facts, ...facts(host, nowMs));
    replaceIfChanged(this.#alerts, ...alerts(host.alerts, nowMs));
    replaceIfChanged(this.#jobs, ...jobs(host.jobs, nowMs, this.#unfolded));
  }

  /** While the host is loaded. */
  clear(heading: string): void {
    setText(this.#name, heading);
    this.#unfolded.clear();
    for (const part of [this.#reasons, this.#facts, this.#alerts, this.#jobs]) {
      part.replaceChildren();
    }
  }

  focus(): void {
    this.#name.focus({ preventScroll: true });
  }
}

function facts(host: HostDetails, nowMs: number): HTMLElement[] {
  const time = (iso: string | null, unknown: string) =>
    iso === null ? unknown : shownTime(iso, nowMs);
  const interval = host.backup_interval_seconds;
  const all: [string, Node | string | null][] = [
    ['Agent', host.status],
    ['Last success', time(host.last_success_at, 'none')],
    ['Last backup', time(host.last_backup_at, 'none')],
    ['Planned every', interval === null ? null : duration(interval * 1000)],
    ['Repository', host.repo_size_bytes === null ? null : bytes(host.repo_size_bytes)],
    ['Snapshots', host.snapshot_count === null ? null : number(host.snapshot_count)],
    ['Agent version', text(host.agent_version)],
    ['restic version', text(host.restic_version)],
    ['Host ID', element('code', '', host.host_id)],
  ];
  return all.flatMap(([name, value]) =>
    value === null ? [] : [element('div', '', element('dt', '', name), element('dd', '', value))],
  );
}

function text(value: string | null): Node | null {
  return value === null || value === '' ? null : foreign(value);
}

/** `26 Nov 2026, 12:03 (3 h ago)` */
function shownTime(iso: string, nowMs: number): HTMLElement {
  const ms = Date.parse(iso);
  return timeElement(iso, `${moment(ms, nowMs)} (${ago(ms, nowMs)})`, iso);
}

function alerts(open: readonly Alert[], nowMs: number): Node[] {
  if (open.length === 0) return [];
  const items = open.map((alert) =>
    element(
      'li',
      alert.severity,
      element('span', 'badge', alert.severity),
      ` ${alertName(alert.kind)}, since `,
      shownTime(alert.opened_at, nowMs),
    ),
  );
  return [element('h3', '', 'Open alerts'), element('ul', '', ...items)];
}

function jobs(last: readonly Job[], nowMs: number, unfolded: Set<string>): Node[] {
  const heading = element('h3', '', last.length === 0 ? 'No jobs yet' : 'Last jobs');
  if (last.length === 0) return [heading];
  const names = ['Started', 'Job', 'Result', 'Duration', 'Added'];
  const head = names.map((name) => {
    const cell = element('th', name.toLowerCase(), name);
    cell.scope = 'col';
    return cell;
  });
  const bodies = last.map((job) => jobRows(job, nowMs, unfolded));
  const table = element('table', '', element('thead', '', element('tr', '', ...head)), ...bodies);
  heading.id = 'jobs-title';
  table.setAttribute('aria-labelledby', heading.id);
  return [heading, table];
}

function jobRows(job: Job, nowMs: number, unfolded: Set<string>): HTMLElement {
  const startedMs = Date.parse(job.started_at);
  const endMs = job.finished_at === null ? nowMs : Date.parse(job.finished_at);
  const cells = [
    element('td', 'started', timeElement(job.started_at, moment(startedMs, nowMs), job.started_at)),
    element('td', 'job', job.kind),
    element('td', 'result', element('span', '', jobResult(job))),
    element('td', 'duration', duration(Math.max(0, endMs - startedMs))),
    element('td', 'added', job.bytes_added === null ? '' : bytes(job.bytes_added)),
  ];
  const body = element('tbody', job.status, element('tr', '', ...cells));
  body.dataset.job = job.job_id; // so that no job takes the place of another one
  if (job.error !== null && job.error.trim() !== '') {
    const cell = element('td', 'error', errorText(job.error.trimEnd(), job.job_id, unfolded));
    cell.colSpan = cells.length;
    body.append(element('tr', '', cell));
  }
  return body;
}

function errorText(error: string, jobId: string, unfolded: Set<string>): HTMLElement {
  const lines = error.split('\n').length;
  const all = element('pre', '', foreign(error));
  if (lines <= SHORT_LINES) return all;
  const summary = element('summary', '', foreign(lastLine(error)), ` (${count(lines, 'line')})`);
  const details = element('details', '', summary, all);
  details.open = unfolded.has(jobId);
  details.addEventListener('toggle', () => {
    if (details.open) unfolded.add(jobId);
    else unfolded.delete(jobId);
  });
  return details;
}
