import type { Gate } from '../access/gate.ts';
import { errorCode } from '../errors.ts';
import { CONTENT_TYPE } from '../metrics/text-format.ts';
import type { MountableApp, ScrapeRequest, ScrapeResponse } from '../platform/uws.ts';
import { RENDER_LIMIT_MS } from '../render/render-thread.ts';
import { acceptsGzip } from './accept-encoding.ts';
import type { RenderSource } from './render-source.ts';
import { PendingResponse } from './response.ts';

export interface ScrapeEndpointOptions {
  readonly gate: Gate;
  readonly source: RenderSource;
  /** Default: `/metrics`. */
  readonly path?: string | undefined;
  /** Told why a scrape was answered with 503; the client is not. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
  /** Told the size of each body, as sent, once the socket took the last of it. */
  readonly onScrape?: ((bytes: number) => void) | undefined;
}

/** Mounts the endpoint that Prometheus scrapes on a uWebSockets.js app, plain or TLS. */
export function mountScrapeEndpoint(app: MountableApp, options: ScrapeEndpointOptions): void {
  app.any(options.path ?? '/metrics', (res, req) => answer(res, req, options));
}

function answer(res: ScrapeResponse, req: ScrapeRequest, options: ScrapeEndpointOptions): void {
  const { gate } = options;
  const response = new PendingResponse(res);
  const method = req.getMethod();
  if (method !== 'get' && method !== 'head') {
    return response.sendText('405 Method Not Allowed', { Allow: 'GET, HEAD' }, 'use GET');
  }
  const admitted = gate.admits({
    authorization: req.getHeader('authorization'),
    peer: new Uint8Array(res.getRemoteAddress()),
    forwardedFor: () => allForwardedFor(req),
  });
  if (!admitted) {
    const headers: Record<string, string> = gate.wantsToken ? { 'WWW-Authenticate': 'Bearer' } : {};
    return method === 'head'
      ? response.sendHead('401 Unauthorized', headers)
      : response.sendText('401 Unauthorized', headers, 'unauthorized');
  }
  const encoding = acceptsGzip(req.getHeader('accept-encoding')) ? 'gzip' : 'identity';
  const headers = {
    'Content-Type': CONTENT_TYPE,
    Vary: 'Accept-Encoding',
    ...(encoding === 'gzip' && { 'Content-Encoding': 'gzip' }),
  };
  if (method === 'head') return response.sendHead('200 OK', headers);
  const timeoutMs = scrapeTimeoutMs(req.getHeader('x-prometheus-scrape-timeout-seconds'));
  options.source.render(encoding, timeoutMs).then(
    (body) => {
      const { length } = body.bytes;
      body.onRevoked = () => response.abandon();
      response.sendBody(headers, body.bytes, (complete) => {
        body.release();
        if (complete) options.onScrape?.(length);
      });
    },
    (error) => {
      options.onFailure?.(error);
      response.sendText('503 Service Unavailable', {}, reason(error));
    },
  );
}

/** Every header line counts: `getHeader` knows only the first, which the client itself may have sent. */
function allForwardedFor(req: ScrapeRequest): string | undefined {
  const values: string[] = [];
  req.forEach((name, value) => {
    if (name === 'x-forwarded-for') values.push(value);
  });
  return values.length === 0 ? undefined : values.join(',');
}

/**
 * How long the body may take, by the header that Prometheus sends with its `scrape_timeout`. A tenth of
 * it, at most half a second, is left for the way back, so that the answer is still heard.
 */
function scrapeTimeoutMs(header: string): number {
  const seconds = Number(header);
  if (!(seconds > 0)) return RENDER_LIMIT_MS;
  const ms = seconds * 1000;
  return Math.min(ms - Math.min(ms / 10, 500), RENDER_LIMIT_MS);
}

function reason(error: unknown): string {
  switch (errorCode(error)) {
    case 'render_too_late':
      return 'the metrics were not ready in time';
    case 'too_many_scrapes':
      return 'too many scrapes are waiting';
    default:
      return 'the metrics could not be rendered';
  }
}
