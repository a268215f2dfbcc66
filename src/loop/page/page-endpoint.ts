import { gzipSync } from 'node:zlib';
import type { HttpRequest, HttpResponse, TemplatedApp } from '../../platform/uws.ts';
import { acceptsGzip } from '../http/accept-encoding.ts';
import { type Headers, PendingResponse } from '../http/pending-response.ts';
import type { RequestBudget } from '../http/request-budget.ts';
import { type PageDocument, readPageDocument } from './document.ts';

/** The best compression: the page is compressed once, at the start. */
const GZIP_LEVEL = 9;

interface Answers {
  readonly plain: Buffer<ArrayBuffer>;
  readonly gzip: Buffer<ArrayBuffer>;
  readonly headers: Headers;
}

let answers: Answers | undefined;

/** Makes them once in each thread: it takes some 50 ms, and a new certificate needs a new app. */
function answersOfThisThread(): Answers {
  if (answers !== undefined) return answers;
  const document = readPageDocument();
  const plain = Buffer.from(document.html);
  const gzip = gzipSync(plain, { level: GZIP_LEVEL });
  answers = { plain, gzip, headers: pageHeaders(document) };
  return answers;
}

/**
 * Mounts the status page at `/`. The page has no data and no gate: its script asks the API, which has the
 * gates of `/metrics`. Reads the page at the first call in a thread, and serves it from memory.
 */
export function mountPage(app: TemplatedApp, requests: RequestBudget): void {
  const { plain, gzip, headers } = answersOfThisThread();
  const gzipHeaders = { ...headers, 'Content-Encoding': 'gzip' };
  app.any('/', (res: HttpResponse, req: HttpRequest) => {
    const response = new PendingResponse(res, req, requests);
    const method = req.getMethod();
    if (method !== 'get' && method !== 'head') {
      return response.send('405 Method Not Allowed', { Allow: 'GET, HEAD' }, 'use GET\n');
    }
    if (acceptsGzip(req.getHeader('accept-encoding'))) response.send('200 OK', gzipHeaders, gzip);
    else response.send('200 OK', headers, plain);
  });
}

function pageHeaders({ styleHash, scriptHash }: PageDocument): Headers {
  const policy = [
    "default-src 'none'",
    `script-src '${scriptHash}'`,
    `style-src '${styleHash}'`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    // Assigning to innerHTML and the like throws.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ];
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': policy.join('; '),
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    // The page and the API that it uses must be of the same version.
    'Cache-Control': 'no-store',
    Vary: 'Accept-Encoding',
  };
}
