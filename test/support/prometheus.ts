import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { freePort } from './free-port.ts';
import { pathOf } from './programs.ts';
import { eventually, temporaryDirectory } from './serve.ts';

export interface Target {
  /** The label `job` that Prometheus adds to the series of this target. */
  readonly job: string;
  /** `HOST:PORT`. */
  readonly address: string;
  readonly token: string;
  /** Labels that Prometheus adds to all series of this target. Default of `instance`: the address. */
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

/** A real Prometheus that scrapes each target every second. It ends with the test. */
export class Prometheus {
  readonly #url: string;

  private constructor(url: string) {
    this.#url = url;
  }

  static async start(targets: readonly Target[]): Promise<Prometheus> {
    const dir = temporaryDirectory();
    const config = join(dir, 'prometheus.yml');
    // Every JSON text is valid YAML.
    writeFileSync(config, JSON.stringify(configuration(dir, targets)));
    const address = `127.0.0.1:${await freePort()}`;
    const args = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(dir, 'data')}`,
      `--web.listen-address=${address}`,
    ];
    const child = spawn(pathOf('prometheus'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
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

  /** Runs an instant query. */
  async query(expression: string): Promise<Series[]> {
    const result = await this.#ask<VectorEntry>('query', { query: expression });
    return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  /** Runs a range query with times in Unix seconds. */
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

  /** Returns the value of an instant query with at most one series. */
  async value(expression: string): Promise<number | undefined> {
    const series = await this.query(expression);
    if (series.length > 1) throw new Error(`${expression}: ${series.length} series`);
    return series[0]?.value;
  }

  /** The errors of the last scrapes of all targets; empty if there were none. */
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

/** The findings of `promtool check metrics` about an exposition, by metric name. */
export function lint(exposition: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(pathOf('promtool'), ['check', 'metrics'], { stdio: 'pipe' });
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
  // Wait for the end: its directory is deleted next, and it must not write to it any more.
  await exited;
}
