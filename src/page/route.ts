import { type Filter, STATES, type State } from './model.ts';

/** What the fragment of the address asks for. The browser never sends a fragment to the server. */
export type Route =
  | { readonly view: 'list'; readonly filter: Filter }
  | { readonly view: 'host'; readonly hostId: string };

const HOST_PREFIX = '#/hosts/';
const TOKEN_PREFIX = '#token=';

/** Reads `#/hosts/ID` or `#/?state=failed&search=web`. Anything else is the list of all hosts. */
export function parseRoute(fragment: string): Route {
  if (fragment.startsWith(HOST_PREFIX)) {
    return { view: 'host', hostId: decoded(fragment.slice(HOST_PREFIX.length)) };
  }
  const parameters = new URLSearchParams(fragment.replace(/^#\/?\??/, ''));
  return {
    view: 'list',
    filter: {
      states: parameters.getAll('state').filter(isState),
      search: parameters.get('search') ?? '',
    },
  };
}

/** The fragment of a list. */
export function listFragment(filter: Filter): string {
  const text = filterParameters(filter).toString();
  return text === '' ? '#/' : `#/?${text}`;
}

/** A filter as parameters, which are the same in the fragment and in requests to the API. */
export function filterParameters({ states, search }: Filter): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const state of states) parameters.append('state', state);
  if (search !== '') parameters.set('search', search);
  return parameters;
}

/** The fragment of a host. */
export function hostFragment(hostId: string): string {
  return HOST_PREFIX + encodeURIComponent(hostId);
}

/** The token in a fragment `#token=…`, which the page must remove from the address at once. */
export function tokenIn(fragment: string): string | undefined {
  return fragment.startsWith(TOKEN_PREFIX)
    ? decoded(fragment.slice(TOKEN_PREFIX.length))
    : undefined;
}

function isState(text: string): text is State {
  return STATES.some((state) => state === text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
