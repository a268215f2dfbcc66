import type { EventLog } from '../platform/event-log.ts';
import type { ApiOptions } from './api/endpoint.ts';

/** Logs refused requests of the API, and the causes of requests that were answered with 503. */
export function reportApiTo(events: EventLog): Pick<ApiOptions, 'onFailure' | 'onRefusal'> {
  return {
    onFailure(code, error) {
      events.error('api_failed', { code, error }, 'a request of the API failed, answered with 503');
    },
    onRefusal({ gate, client }) {
      events.warn('api_refused', { gate, address: client }, 'a request of the API was refused');
    },
  };
}
