import type { EventLog } from '../platform/event-log.ts';
import type { ApiOptions } from './api/endpoint.ts';

/** Logs refused requests of the API, and why data is missing: the whole answer (503), or a part of it. */
export function reportApiTo(events: EventLog): Pick<ApiOptions, 'onFailure' | 'onRefusal'> {
  return {
    onFailure(code, error) {
      events.error('api_failed', { code, error }, 'the API could not read all data for an answer');
    },
    onRefusal({ gate, client }) {
      events.warn('api_refused', { gate, address: client }, 'a request of the API was refused');
    },
  };
}
