import { readFileSync } from 'node:fs';
import type { ResultFile, Row, Scenario } from '../support/result.ts';

/** What was measured on this machine, from bench/results. */
export interface Constants {
  /** The costs of a batch, by its number of operations. */
  readonly batch: readonly Cost[];
  /** The costs of a poll, by the number of hosts that others have changed. */
  readonly poll: readonly Cost[];
  readonly kibPerHost: number;
  readonly kibPerJob: number;
  /** Resident memory of an instance without hosts, and what hosts and agents add. */
  readonly baseMb: number;
  readonly mbPerFollowedHost: number;
  readonly mbPerShownHost: number;
  readonly mbPerAgent: number;
  readonly startMs: number;
  readonly startMsPerHost: number;
  readonly scrapeMsPerHost: number;
}

/** What work of a certain size costs. */
export interface Cost {
  readonly size: number;
  readonly ms: number;
  /** CPU of the database server. */
  readonly cpuMs: number;
  readonly kib: number;
}

const RESULTS = new URL('../results/', import.meta.url);

/** @throws Error if a figure is missing */
export function measuredConstants(): Constants {
  const postgres = rowsIn('postgres');
  const scrape = rowsIn('scrape');
  const memory = rowsIn('memory');
  const costs = (what: string, size: string) =>
    postgres
      .filter(({ measure }) => measure === `${what}: time`)
      .map(({ scenario, median }): Cost => {
        const of = (measure: string) => only(postgres, `${what}: ${measure}`, scenario).median;
        const [count] = [Number(scenario[size])];
        return {
          size: count,
          ms: median,
          cpuMs: of('CPU of the server'),
          kib: of('on the network'),
        };
      })
      .sort((a, b) => a.size - b.size);
  const start = (measure: string, hosts: number, contestant: string) =>
    only(postgres, measure, { hosts }, contestant).median;
  const FEW = 1_000;
  const MANY = 100_000;
  const TENTH = MANY / 10;
  const all = start('resident memory of an instance', MANY, 'ours, shows all');
  const tenth = start('resident memory of an instance', MANY, 'ours, shows 1/10');
  const few = start('resident memory of an instance', FEW, 'ours, shows all');
  const mbPerShownHost = Math.max((all - tenth) / (MANY - TENTH), 0);
  const mbPerFollowedHost = (all - few) / (MANY - FEW) - mbPerShownHost;
  const startMs = start('start of an instance', FEW, 'ours, shows all');
  const KIB_PER_MB = 1_000_000 / 1_024;
  return {
    batch: costs('a batch', 'jobs'),
    poll: costs('a poll', 'changed hosts'),
    kibPerHost: only(postgres, 'on the disk of the server', undefined, 'a host').median,
    kibPerJob: only(postgres, 'on the disk of the server', undefined, 'a job').median,
    baseMb: few - FEW * (mbPerShownHost + mbPerFollowedHost),
    mbPerFollowedHost,
    mbPerShownHost,
    mbPerAgent: only(memory, 'an idle agent', undefined, 'ours, control plane').median / KIB_PER_MB,
    startMs,
    startMsPerHost:
      (start('start of an instance', MANY, 'ours, shows all') - startMs) / (MANY - FEW),
    scrapeMsPerHost:
      only(
        scrape,
        'time to the full body',
        { hosts: MANY, encoding: 'gzip' },
        'ours, 0.02 % changed',
      ).median / MANY,
  };
}

/** Interpolates between the sizes that were measured, and continues the last slope beyond them. */
export function costOf(costs: readonly Cost[], size: number): Cost {
  const found = costs.findIndex((cost) => cost.size >= size);
  const above = found < 0 ? costs.length - 1 : Math.max(found, 1);
  const [a, b] = [costs[above - 1], costs[above]];
  if (a === undefined || b === undefined) throw new Error('two sizes must have been measured');
  const part = (size - a.size) / (b.size - a.size);
  const between = (from: number, to: number) => Math.max(from + part * (to - from), 0);
  return {
    size,
    ms: between(a.ms, b.ms),
    cpuMs: between(a.cpuMs, b.cpuMs),
    kib: between(a.kib, b.kib),
  };
}

function rowsIn(bench: string): readonly Row[] {
  const file: ResultFile = JSON.parse(readFileSync(new URL(`${bench}.json`, RESULTS), 'utf8'));
  return file.rows;
}

function only(
  rows: readonly Row[],
  measure: string,
  scenario: Scenario = {},
  contestant?: string,
): Row {
  const found = rows.filter(
    (row) =>
      row.measure === measure &&
      (contestant === undefined || row.contestant === contestant) &&
      Object.entries(scenario).every(([name, value]) => row.scenario[name] === value),
  );
  const [row] = found;
  if (row === undefined || found.length > 1) {
    throw new Error(
      `${found.length} rows for ${measure} ${contestant} ${JSON.stringify(scenario)}`,
    );
  }
  return row;
}
