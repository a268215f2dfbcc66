import { HOST_STATES, type HostState, isHostState } from '../../contract/host-state.ts';
import {
  DEFAULT_LIMIT,
  decodeCursor,
  type HostPosition,
  type HostsQuery,
  MAX_LIMIT,
  MAX_SEARCH,
} from '../../contract/queries.ts';

/** A parameter is wrong. The message names it and says what would be right. */
export class BadParameter extends Error {}

/**
 * Parses the parameters of `GET /api/hosts`.
 * @param text the query string, without `?`
 * @throws BadParameter
 */
export function hostsParameters(text: string): HostsQuery {
  const states: HostState[] = [];
  const single = new Map<string, string>();
  for (const [name, value] of parameters(text)) {
    if (name === 'state') {
      states.push(state(value));
    } else if (!SINGLE.includes(name)) {
      throw new BadParameter(
        `unknown parameter ${shown(name)}; known are state, ${SINGLE.join(', ')}`,
      );
    } else if (single.has(name)) {
      throw new BadParameter(`${name}: must be given only once`);
    } else {
      single.set(name, value);
    }
  }
  return {
    states,
    search: search(single.get('search')),
    limit: limit(single.get('limit')),
    after: after(single.get('after')),
  };
}

/**
 * For requests without parameters.
 * @throws BadParameter if there is one
 */
export function noParameters(text: string): void {
  for (const [name] of parameters(text)) {
    throw new BadParameter(`unknown parameter ${shown(name)}; this request has none`);
  }
}

const SINGLE = ['search', 'limit', 'after'];

function state(value: string): HostState {
  if (isHostState(value)) return value;
  throw new BadParameter(`state: must be one of ${HOST_STATES.join(', ')}, not ${shown(value)}`);
}

function search(value = ''): string {
  const { length } = [...value];
  if (length <= MAX_SEARCH) return value;
  throw new BadParameter(`search: must have at most ${MAX_SEARCH} characters, not ${length}`);
}

function limit(value: string | undefined): number {
  if (value === undefined) return DEFAULT_LIMIT;
  const limit = /^[0-9]{1,4}$/.test(value) ? Number(value) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new BadParameter(
    `limit: must be a whole number from 1 to ${MAX_LIMIT}, not ${shown(value)}`,
  );
}

function after(value: string | undefined): HostPosition | undefined {
  if (value === undefined) return undefined;
  const position = decodeCursor(value);
  if (position !== undefined) return position;
  throw new BadParameter(
    `after: must be the value of next in an earlier answer, not ${shown(value)}`,
  );
}

/** Not `URLSearchParams`: it accepts invalid percent-encoding and replaces it. */
function* parameters(text: string): Iterable<readonly [name: string, value: string]> {
  for (const part of text.split('&')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    const name = decoded(equals === -1 ? part : part.slice(0, equals), 'the name of a parameter');
    if (equals === -1)
      throw new BadParameter(`${shown(name)}: must have a value, as in name=value`);
    yield [name, decoded(part.slice(equals + 1), name)];
  }
}

function decoded(text: string, name: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new BadParameter(`${cut(name)}: must be UTF-8 in percent-encoding, not ${shown(text)}`);
  }
}

const SHOWN = 80;

function shown(text: string): string {
  return JSON.stringify(cut(text));
}

function cut(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}
