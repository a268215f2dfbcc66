import { messageOf } from '../errors.ts';
import type { EventLog } from '../platform/event-log.ts';
import type { ScrapeEndpointOptions } from './scrape/endpoint.ts';

/** Logs refused scrapes, and the causes of scrapes that were answered with 503. */
export function reportTo(
  events: EventLog,
): Required<Pick<ScrapeEndpointOptions, 'onFailure' | 'onRefusal'>> {
  return {
    onFailure(error) {
      const cause = error instanceof Error ? error.cause : undefined;
      const fields = { err: error, cause: cause && messageOf(cause) };
      events.error('scrape_failed', fields, 'scrape failed, answered with 503');
    },
    onRefusal({ gate, client }) {
      events.warn('scrape_refused', { gate, address: client }, 'scrape refused');
    },
  };
}
