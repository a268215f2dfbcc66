import { allForwardedFor } from '../../access/client-address.ts';
import type { Gate, GateRefusal } from '../../access/gate.ts';
import { RENDER_LIMIT_MS } from '../../contract/encoding.ts';
import { errorCode } from '../../errors.ts';
import type { MountableApp, ScrapeRequest, ScrapeResponse } from '../../platform/uws.ts';
import { BodyReader } from '../../shared/body-layout.ts';
import type { ScrapeCode } from '../../shared/server-stats.ts';
import { CONTENT_TYPE } from '../../shared/text-format.ts';
import { acceptsGzip } from '../http/accept-encoding.ts';
import { type Headers, PendingResponse } from '../http/pending-response.ts';
import type { RequestBudget } from '../http/request-budget.ts';
import { sendBody } from '../http/send-body.ts';
import type { RenderSource } from './render-source.ts';

/** Counters that the endpoint updates. */
export interface ScrapeCounter {
  scrape(code: ScrapeCode): void;
  /** Time in milliseconds from the request until the socket accepted the last byte of the body. */
  scrapeDuration(ms: number): void;
  /** The connection of a slow reader was closed because newer scrapes need the memory of its body. */
  scrapeCutOff(): void;
}

export interface ScrapeEndpointOptions {
  readonly gate: Gate;
  readonly source: RenderSource;
  readonly counter: ScrapeCounter;
  /** Must be shared by all handlers that are mounted in this thread. */
  readonly requests: RequestBudget;
  /** Default: `/metrics`. */
  readonly path?: string | undefined;
  /**
   * Called with the cause when a scrape is answered with 503. The client gets only a general
   * reason.
   */
  readonly onFailure?: ((error: unknown) => void) | undefined;
  /** Called when a scrape is refused. */
  readonly onRefusal?: ((refusal: GateRefusal) => void) | undefined;
  /** Called with the size of a body in bytes, as sent, when the socket has accepted the last byte. */
  readonly onScrape?: ((bytes: number) => void) | undefined;
}

/** Mounts the scrape endpoint on a uWebSockets.js app, plain or TLS. */
export function mountScrapeEndpoint(app: MountableApp, options: ScrapeEndpointOptions): void {
  app.any(options.path ?? '/metrics', (res, req) => handleScrape(res, req, options));
}

function handleScrape(
  res: ScrapeResponse,
  req: ScrapeRequest,
  options: ScrapeEndpointOptions,
): void {
  const { gate, counter } = options;
  const startedAt = performance.now();
  const response = new PendingResponse(res, req, options.requests);
  const refuse = (code: keyof typeof STATUS_LINES, headers: Headers, line: string) => {
    counter.scrape(code);
    response.send(STATUS_LINES[code], headers, `${line}\n`);
  };
  const method = req.getMethod();
  if (method !== 'get' && method !== 'head') {
    return refuse(405, { Allow: 'GET, HEAD' }, 'use GET');
  }
  const refusal = gate.refusal({
    authorization: req.getHeader('authorization'),
    peer: new Uint8Array(res.getRemoteAddress()),
    forwardedFor: () => allForwardedFor(req),
  });
  if (refusal !== undefined) {
    options.onRefusal?.(refusal);
    return refuse(401, gate.wantsToken ? { 'WWW-Authenticate': 'Bearer' } : {}, 'unauthorized');
  }
  if (response.hasBody) return refuse(400, {}, 'a scrape must not have a body');
  const encoding = acceptsGzip(req.getHeader('accept-encoding')) ? 'gzip' : 'identity';
  const headers = {
    'Content-Type': CONTENT_TYPE,
    Vary: 'Accept-Encoding',
    ...(encoding === 'gzip' && { 'Content-Encoding': 'gzip' }),
  };
  if (method === 'head') {
    counter.scrape(200);
    return response.sendHead('200 OK', headers);
  }
  const timeoutMs = scrapeTimeoutMs(req.getHeader('x-prometheus-scrape-timeout-seconds'));
  options.source.render(encoding, timeoutMs).then(
    (body) => {
      const { length } = body.bytes;
      body.onRevoked = () => {
        counter.scrapeCutOff();
        response.abandon();
      };
      sendBody(response, res, headers, new BodyReader(body.bytes), (complete) => {
        body.release();
        if (!complete) return;
        counter.scrape(200);
        counter.scrapeDuration(performance.now() - startedAt);
        options.onScrape?.(length);
      });
    },
    (error) => {
      options.onFailure?.(error);
      refuse(503, {}, failureText(error));
    },
  );
}

const STATUS_LINES = {
  400: '400 Bad Request',
  401: '401 Unauthorized',
  405: '405 Method Not Allowed',
  503: '503 Service Unavailable',
} as const;

/**
 * The time limit for the body, from the header in which Prometheus sends its `scrape_timeout`. A
 * tenth of it, at most 500 ms, is reserved for the transfer, so that an answer of 503 reaches
 * Prometheus in time.
 */
function scrapeTimeoutMs(header: string): number {
  const seconds = Number(header);
  if (!(seconds > 0)) return RENDER_LIMIT_MS;
  const ms = seconds * 1000;
  return Math.min(ms - Math.min(ms / 10, 500), RENDER_LIMIT_MS);
}

function failureText(error: unknown): string {
  switch (errorCode(error)) {
    case 'render_too_late':
      return 'the metrics were not ready in time';
    case 'too_many_scrapes':
      return 'too many scrapes are waiting';
    default:
      return 'the metrics could not be rendered';
  }
}
