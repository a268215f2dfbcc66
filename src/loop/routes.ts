import type { TemplatedApp } from '../platform/uws.ts';
import { PendingResponse } from './http/pending-response.ts';
import type { RequestBudget } from './http/request-budget.ts';
import { mountPage } from './page/page-endpoint.ts';
import { mountScrapeEndpoint, type ScrapeEndpointOptions } from './scrape/endpoint.ts';

/**
 * Mounts the routes of every listener: `/metrics` and the status page if they are enabled, `/healthz`, and
 * 404 for the rest.
 */
export function mountRoutes(
  app: TemplatedApp,
  requests: RequestBudget,
  scrape: ScrapeEndpointOptions | undefined,
): void {
  if (scrape) {
    mountScrapeEndpoint(app, scrape);
    mountPage(app, requests);
  }
  app.get('/healthz', (res, req) => {
    new PendingResponse(res, req, requests).send('200 OK', {}, 'ok');
  });
  app.head('/healthz', (res, req) => {
    new PendingResponse(res, req, requests).send('200 OK', {}, 'ok');
  });
  app.any('/*', (res, req) => {
    new PendingResponse(res, req, requests).send('404 Not Found', {}, 'not found\n');
  });
}
