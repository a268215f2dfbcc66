import { type OutgoingHttpHeaders, request as plain } from 'node:http';
import { request as tls } from 'node:https';

export interface ReportAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** One answer to a message in a response. */
export interface MessageAnswer {
  readonly type: 'ack' | 'error';
  readonly payload: { readonly id?: string; readonly code?: string; readonly message?: string };
}

export const NDJSON = { 'Content-Type': 'application/x-ndjson' };
export const JSON_ARRAY = { 'Content-Type': 'application/json' };

/** Sends `POST /agent/messages` on a connection of its own. */
export function postBody(
  url: string,
  token: string,
  body: string | Buffer,
  headers: OutgoingHttpHeaders = JSON_ARRAY,
): Promise<ReportAnswer> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? tls : plain;
    const sent = request(`${url}/agent/messages`, {
      method: 'POST',
      agent: false,
      rejectUnauthorized: false,
      headers: {
        Authorization: `Bearer ${token}`,
        ...(!('Transfer-Encoding' in headers) && { 'Content-Length': Buffer.byteLength(body) }),
        ...headers,
      },
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, headers, text: Buffer.concat(chunks).toString() });
      });
    });
    sent.end(body);
  });
}

/**
 * Sends messages in one request.
 * @throws Error if the answer is not 200
 */
export async function report(
  url: string,
  token: string,
  messages: readonly unknown[],
): Promise<MessageAnswer[]> {
  const { status, text } = await postBody(url, token, JSON.stringify(messages));
  if (status !== 200) throw new Error(`${status}: ${text}`);
  return JSON.parse(text);
}

/** A finish of a job that was never announced, which took 1.5 s. */
export function finished(jobId: string, fields: object = {}): object {
  const now = Date.now();
  return {
    type: 'job.finished',
    id: jobId,
    payload: {
      job_id: jobId,
      kind: 'backup',
      status: 'succeeded',
      started_at: new Date(now - 1_500).toISOString(),
      finished_at: new Date(now).toISOString(),
      ...fields,
    },
  };
}
