import type { TemplatedApp } from '../platform/uws.ts';
import { mountScrapeEndpoint, type ScrapeEndpointOptions } from '../scrape/endpoint.ts';

/** What every listener answers besides what it is there for. */
export function mountRoutes(app: TemplatedApp, scrape: ScrapeEndpointOptions | undefined): void {
  if (scrape) mountScrapeEndpoint(app, scrape);
  app.get('/healthz', (res) => void res.end('ok'));
  app.head('/healthz', (res) => void res.endWithoutBody());
  app.any('/*', (res, req) => {
    res.writeStatus('404 Not Found').writeHeader('Content-Type', 'text/plain; charset=utf-8');
    if (req.getMethod() === 'head') res.endWithoutBody();
    else res.end('not found\n');
  });
}
