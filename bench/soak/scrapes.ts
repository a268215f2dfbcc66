import { Agent, request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { isJobKind, isJobStatus, seriesIndex } from '../../src/contract/jobs.ts';
import { noCounts } from './ledger.ts';
import { METRICS_TOKEN } from './server.ts';

const LIMIT_MS = 15_000;
const COUNT = /^rm_job_duration_seconds_count\{kind="(\w+)",status="(\w+)"\} (\d+)$/gm;

/**
 * Scrapes the server. Durations are measured on the client, from the request until the last byte of
 * the body.
 */
export class Scrapes {
  readonly ms: number[] = [];
  readonly failures: string[] = [];
  readonly #url: string;
  /** Like Prometheus, it keeps its connection open and requests gzip. */
  readonly #kept = new Agent({ keepAlive: true });

  constructor(url: string) {
    this.#url = `${url}/metrics`;
  }

  /** @returns the body, or undefined if the scrape failed, which is recorded */
  async scrape(encoding: 'gzip' | 'identity'): Promise<string | undefined> {
    const startedAt = performance.now();
    try {
      const body = await this.#get(encoding);
      this.ms.push(performance.now() - startedAt);
      const text = String(encoding === 'gzip' ? gunzipSync(body) : body);
      if (!text.endsWith('\n')) throw new Error('the body does not end in a line feed');
      return text;
    } catch (error) {
      this.failures.push(String(error));
      return undefined;
    }
  }

  close(): void {
    this.#kept.destroy();
  }

  #get(encoding: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const headers = { Authorization: `Bearer ${METRICS_TOKEN}`, 'Accept-Encoding': encoding };
      // A scrape without gzip uses a new connection, like one with curl.
      const agent = encoding === 'gzip' ? this.#kept : false;
      const signal = AbortSignal.timeout(LIMIT_MS);
      request(this.#url, { headers, agent, signal }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const body = Buffer.concat(parts);
          if (response.statusCode === 200) resolve(body);
          else reject(new Error(`${response.statusCode}: ${String(body).trim()}`));
        });
      })
        .on('error', reject)
        .end();
    });
  }
}

/** The number of finishes in the histogram, by series. */
export function countsIn(body: string): number[] {
  const counts = noCounts();
  for (const [line, kind = '', status = '', count] of body.matchAll(COUNT)) {
    if (!isJobKind(kind) || !isJobStatus(status)) throw new Error(`unknown series: ${line}`);
    counts[seriesIndex(kind, status)] = Number(count);
  }
  return counts;
}
