import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { freePort } from './free-port.ts';
import { eventually, temporaryDirectory } from './serve.ts';

const PROMETHEUS = '/usr/bin/prometheus';
const PROMTOOL = '/usr/bin/promtool';

/** Why a test that needs Debian's `prometheus` package cannot run here, if it cannot. */
export const NO_PROMETHEUS = [PROMETHEUS, PROMTOOL].every((file) => existsSync(file))
  ? undefined
  : `${PROMETHEUS} and ${PROMTOOL} are not installed`;

export interface Target {
  /** The `job` that Prometheus puts on its series. */
  readonly job: string;
  /** `HOST:PORT`. */
  readonly address: string;
  readonly token: string;
  /** Labels of all its series; `instance` is the address otherwise. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface RangeSeries {
  readonly labels: Readonly<Record<string, string>>;
  /** Times in Unix seconds. */
  readonly points: readonly (readonly [time: number, value: number])[];
}

/** A real Prometheus that scrapes each target every second, ended with the test. */
export class Prometheus {
  readonly #url: string;

  private constructor(url: string) {
    this.#url = url;
  }

  static async start(targets: readonly Target[]): Promise<Prometheus> {
    const dir = temporaryDirectory();
    const config = join(dir, 'prometheus.yml');
    // JSON is YAML.
    writeFileSync(config, JSON.stringify(configuration(dir, targets)));
    const address = `127.0.0.1:${await freePort()}`;
    const args = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=${address}`,
    ];
    const child = spawn(PROMETHEUS, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    onTestFinished(() => stop(child));
    let log = '';
    child.stderr.on('data', (chunk) => {
      log += chunk;
    });
    const url = `http://${address}`;
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`Prometheus ended: ${log}`);
      const { status } = await fetch(`${url}/-/ready`);
      if (status !== 200) throw new Error(`Prometheus is not ready: ${status}`);
    });
    return new Prometheus(url);
  }

  /** An instant query. */
  async query(expression: string): Promise<Series[]> {
    const result = await this.#ask<VectorEntry>('query', { query: expression });
    return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  /** A range query; times in Unix seconds. */
  async queryRange(
    expression: string,
    range: { readonly start: number; readonly end: number; readonly step: number },
  ): Promise<RangeSeries[]> {
    const { start, end, step } = range;
    const parameters = { start: String(start), end: String(end), step: String(step) };
    const result = await this.#ask<MatrixEntry>('query_range', {
      query: expression,
      ...parameters,
    });
    return result.map(({ metric, values }) => ({
      labels: metric,
      points: values.map(([time, value]) => [time, Number(value)]),
    }));
  }

  /** The value of a query that has one series at the most. */
  async value(expression: string): Promise<number | undefined> {
    const series = await this.query(expression);
    if (series.length > 1) throw new Error(`${expression}: ${series.length} series`);
    return series[0]?.value;
  }

  /** What went wrong at the last scrape of each target; empty if nothing did. */
  async lastErrors(): Promise<Record<string, string>> {
    const response = await fetch(`${this.#url}/api/v1/targets?state=active`);
    const answer = (await response.json()) as TargetsAnswer;
    return Object.fromEntries(
      answer.data.activeTargets.map(({ labels, lastError }) => [labels.job, lastError]),
    );
  }

  async #ask<Entry>(what: string, parameters: Record<string, string>): Promise<readonly Entry[]> {
    const response = await fetch(`${this.#url}/api/v1/${what}`, {
      method: 'POST',
      body: new URLSearchParams(parameters),
    });
    const answer = (await response.json()) as QueryAnswer<Entry>;
    if (answer.status !== 'success') throw new Error(`${parameters.query}: ${answer.error}`);
    return answer.data.result;
  }
}

interface VectorEntry {
  readonly metric: Record<string, string>;
  readonly value: [number, string];
}

interface MatrixEntry {
  readonly metric: Record<string, string>;
  readonly values: [number, string][];
}

type QueryAnswer<Entry> =
  | { readonly status: 'success'; readonly data: { readonly result: readonly Entry[] } }
  | { readonly status: 'error'; readonly error: string };

interface TargetsAnswer {
  readonly data: {
    readonly activeTargets: readonly { labels: { job: string }; lastError: string }[];
  };
}

/** What `promtool check metrics` has to say about an exposition, by metric name. */
export function lint(exposition: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(PROMTOOL, ['check', 'metrics'], { stdio: 'pipe' });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
    child.stdin.end(exposition);
  });
}

function configuration(dir: string, targets: readonly Target[]): object {
  return {
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: targets.map(({ job, address, token, labels }) => {
      const file = join(dir, `${job}.token`);
      writeFileSync(file, `${token}\n`);
      return {
        job_name: job,
        authorization: { credentials_file: file },
        static_configs: [{ targets: [address], ...(labels && { labels }) }],
      };
    }),
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  // Its directory goes next, and it must not write to it any more.
  await exited;
}
