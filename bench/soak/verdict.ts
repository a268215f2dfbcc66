import { JOB_KINDS, JOB_STATUSES, seriesIndex } from '../../src/contract/jobs.ts';
import { median, quantile } from '../support/samples.ts';
import { type Acknowledged, countsOf, type Finishes, sum } from './ledger.ts';
import type { Exit } from './server.ts';

/** Everything that a soak measured. */
export interface Findings {
  readonly seconds: number;
  readonly memory: readonly MemorySample[];
  readonly acknowledged: Acknowledged;
  /** Number of finishes that the server did not acknowledge although it had enough time. */
  readonly unanswered: number;
  /** The counts of the histogram, by series, when no message was unanswered. */
  readonly shown: readonly number[];
  readonly onDisk: ReadonlyMap<string, Finishes>;
  readonly scrapeMs: readonly number[];
  readonly scrapeLimitMs: number;
  readonly stderr: readonly string[];
  readonly exit: Exit;
  /** Everything else that went wrong. */
  readonly faults: readonly string[];
}

export interface MemorySample {
  /** Seconds since the start of the soak. */
  readonly seconds: number;
  /** Resident memory in bytes after a garbage collection. */
  readonly bytes: number;
}

const MIB = 2 ** 20;
const ALLOWED_GROWTH = { share: 0.1, bytes: 16 * MIB };
const EXIT_LIMIT_MS = 10_000;
const ERRORS: readonly unknown[] = ['error', 'fatal'];

/** @returns the reasons why the soak failed; empty if it passed */
export function verdict(findings: Findings): string[] {
  const { acknowledged, unanswered, shown, onDisk } = findings;
  return [
    ...findings.faults,
    ...(unanswered > 0 ? [`${unanswered} messages were not acknowledged at the end`] : []),
    ...memoryFaults(findings.memory, findings.seconds),
    ...countFaults(countsOf(acknowledged), shown),
    ...diskFaults(acknowledged.hosts, onDisk),
    ...scrapeFaults(findings.scrapeMs, findings.scrapeLimitMs),
    ...stderrFaults(findings.stderr),
    ...exitFaults(findings.exit),
  ];
}

/**
 * Memory must stay flat. Jobs are stored in files and the number of hosts is constant, so neither
 * is a reason to grow.
 *
 * The first fifth of the time is ignored, because code is compiled and heaps and caches fill up.
 * The last fifth is compared with the second one. Medians are used, since single samples may catch
 * a burst of messages. Some growth is allowed: V8 keeps pages that are half empty, and glibc keeps
 * memory that it may reuse. A relevant leak keeps growing, so a longer soak finds it.
 */
export function memoryFaults(samples: readonly MemorySample[], seconds: number): string[] {
  const { early, late } = memoryOf(samples, seconds);
  if (Number.isNaN(early + late)) return ['memory was not sampled often enough'];
  const allowed = Math.max(early * ALLOWED_GROWTH.share, ALLOWED_GROWTH.bytes);
  if (late - early <= allowed) return [];
  return [`memory grew from ${mib(early)} to ${mib(late)}, by more than ${mib(allowed)}`];
}

/** Medians of the second and of the last fifth of the time; NaN without samples. */
export function memoryOf(samples: readonly MemorySample[], seconds: number) {
  const ofFifth = (fifth: number) =>
    median(
      samples
        .filter((sample) => Math.floor((sample.seconds / seconds) * 5) === fifth)
        .map(({ bytes }) => bytes),
    );
  return { early: ofFifth(1), late: ofFifth(4) };
}

/** Every acknowledged finish must count once, in its series. */
export function countFaults(acknowledged: readonly number[], shown: readonly number[]): string[] {
  const faults: string[] = [];
  const [expected, found] = [sum(acknowledged), sum(shown)];
  if (expected !== found) {
    faults.push(`the histogram counts ${found} finishes, but ${expected} were acknowledged`);
  }
  for (const kind of JOB_KINDS) {
    for (const status of JOB_STATUSES) {
      const series = seriesIndex(kind, status);
      const [expected, found] = [acknowledged[series] ?? 0, shown[series] ?? 0];
      if (expected === found) continue;
      faults.push(`${kind} ${status}: the histogram counts ${found} of ${expected} acknowledged`);
    }
  }
  return faults;
}

/** Every acknowledged finish must be on disk as it was first reported, and no other finish may be. */
export function diskFaults(
  acknowledged: Acknowledged['hosts'],
  onDisk: ReadonlyMap<string, Finishes>,
): string[] {
  let [lost, different, unknown] = [0, 0, 0];
  const faults: string[] = [];
  for (const [hostId, expected] of acknowledged) {
    const found = onDisk.get(hostId);
    if (found === undefined) faults.push(`host ${hostId} is not on disk`);
    for (let job = 0; job < Math.max(expected.length, found?.length ?? 0); job++) {
      if (expected[job] === found?.[job]) continue;
      if (found?.[job] === undefined) lost++;
      else if (expected[job] === undefined) unknown++;
      else different++;
    }
  }
  for (const hostId of onDisk.keys()) {
    if (!acknowledged.has(hostId)) faults.push(`host ${hostId} was removed but is still on disk`);
  }
  if (lost > 0) faults.push(`${lost} acknowledged finishes are not on disk`);
  if (different > 0) faults.push(`${different} finishes are on disk with another kind or status`);
  if (unknown > 0) faults.push(`${unknown} finishes are on disk but were never acknowledged`);
  return faults;
}

/** Durations on the client, where the load also uses the cores. The server itself is faster. */
export function scrapeFaults(ms: readonly number[], limitMs: number): string[] {
  if (ms.length === 0) return ['no scrape succeeded'];
  const p99 = scrapeP99(ms);
  if (p99 < limitMs) return [];
  return [`the 99th percentile of scrapes is ${Math.round(p99)} ms, not below ${limitMs} ms`];
}

export function scrapeP99(ms: readonly number[]): number {
  return quantile(Float64Array.from(ms).sort(), 0.99);
}

/** The server logs JSON, and nothing in the soak should cause an error. */
export function stderrFaults(lines: readonly string[]): string[] {
  return lines
    .filter((line) => !isLogLine(line) || ERRORS.includes(JSON.parse(line).level))
    .map((line) => `standard error: ${line}`);
}

function isLogLine(line: string): boolean {
  try {
    return typeof JSON.parse(line)?.level === 'string';
  } catch {
    return false;
  }
}

export function exitFaults({ by, ms }: Exit): string[] {
  if (by === 0 && ms <= EXIT_LIMIT_MS) return [];
  return [`SIGTERM ended the server with ${by} after ${Math.round(ms)} ms`];
}

export function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
