import type { TemplatedApp } from '../platform/uws.ts';
import { type ApiOptions, mountApi } from './api/endpoint.ts';
import { PendingResponse } from './http/pending-response.ts';
import type { RequestBudget } from './http/request-budget.ts';
import { mountPage } from './page/page-endpoint.ts';
import { mountScrapeEndpoint, type ScrapeEndpointOptions } from './scrape/endpoint.ts';

/** The routes that exist only if a gate is configured. */
export interface GatedRoutes {
  readonly scrape: ScrapeEndpointOptions;
  readonly api: ApiOptions;
}

/** Mounts the routes of every listener: the gated ones if there are any, `/healthz`, and 404 for the rest. */
export function mountRoutes(
  app: TemplatedApp,
  requests: RequestBudget,
  gated: GatedRoutes | undefined,
): void {
  if (gated !== undefined) mountGatedRoutes(app, requests, gated);
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

function mountGatedRoutes(
  app: TemplatedApp,
  requests: RequestBudget,
  { scrape, api }: GatedRoutes,
): void {
  mountScrapeEndpoint(app, scrape);
  mountApi(app, api);
  mountPage(app, requests);
}
