import { Announcer } from './announcer.ts';
import { Api } from './api.ts';
import { ApiError } from './api-error.ts';
import { Causes } from './causes.ts';
import { ConnectionView } from './connection-view.ts';
import { byId, setText } from './dom.ts';
import { FleetView } from './fleet-view.ts';
import { HostList } from './host-list.ts';
import { HostView } from './host-view.ts';
import { JobRate } from './job-rate.ts';
import { listEnd } from './list-end.ts';
import type { Fleet, Host, HostDetails, State } from './model.ts';
import { Poller, pollMs } from './poller.ts';
import { listFragment, parseRoute, type Route, tokenIn } from './route.ts';
import { forgetToken, savedToken, saveToken } from './token.ts';
import { number } from './units.ts';
import { needingAttention } from './words.ts';

/*
 * The page: it follows the fragment of the address, loads what that asks for again and again, and gives it to
 * the views.
 */

const HOSTS_PER_CLICK = 100;
const SEARCH_DELAY_MS = 250;

const title = document.title;
const refusal = byId('refusal', HTMLElement);
const tokenInput = byId('token', HTMLInputElement);
const searchInput = byId('search', HTMLInputElement);
const moreButton = byId('more', HTMLButtonElement);
const forgetButton = byId('forget', HTMLButtonElement);
const backLink = byId('back', HTMLAnchorElement);
const nothing = byId('nothing', HTMLElement);
const sections = {
  token: byId('sign-in', HTMLElement),
  list: byId('fleet', HTMLElement),
  host: byId('host', HTMLElement),
};

const connection = new ConnectionView();
const fleetView = new FleetView(toggleState);
const hostList = new HostList();
const hostView = new HostView();
const jobRate = new JobRate();
const causes = new Causes();
const announcer = new Announcer();
const poller = new Poller({
  task: load,
  intervalMs: () => pollMs(route.view === 'list' ? hostList.length : 1),
  isVisible: () => document.visibilityState === 'visible',
});

let token = savedToken();
let route: Route = parseRoute('');
/** The fragment of the list that was shown last, and how far it was scrolled: back leads there. */
let listRoute = '#/';
let listScroll = 0;
/** The host that was opened from the list gets the focus when the list is shown again. */
let openedHost: string | undefined;
let cameFromList = false;
let wantedHosts = HOSTS_PER_CLICK;
let searchTimer: ReturnType<typeof setTimeout> | undefined;
/** How far the clock of the server is ahead of the browser's. */
let clockAheadMs = 0;

/** Loads what the route asks for and shows it. */
async function load(signal: AbortSignal): Promise<void> {
  const api = new Api(token);
  try {
    if (route.view === 'host') await loadHost(api, route.hostId, signal);
    else await loadList(api, route, signal);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof ApiError)) {
      console.error(error);
      connection.stale(0);
    } else if (error.status === 401) showRefused(error.wantsToken);
    else connection.stale(error.status);
    throw error;
  }
}

async function loadList(
  api: Api,
  { filter }: Extract<Route, { view: 'list' }>,
  signal: AbortSignal,
): Promise<void> {
  const [fleet, { hosts, next }] = await Promise.all([
    api.fleet(signal),
    api.hosts(filter, wantedHosts, signal),
  ]);
  showFleet(fleet);
  showHosts(hosts, next !== null);
  showLive();
  if (await causes.load(hosts, (hostId) => api.host(hostId, signal)))
    hostList.show(hosts, serverNow(), causes);
}

async function loadHost(api: Api, hostId: string, signal: AbortSignal): Promise<void> {
  const [fleet, host] = await Promise.all([
    api.fleet(signal),
    api.host(hostId, signal).catch(undefinedIfMissing),
  ]);
  showFleet(fleet);
  if (host === undefined) hostView.clear('This host does not exist, or was removed');
  else hostView.show(host, serverNow());
  showLive();
}

/** Any other reason for this status would also refuse the request for the fleet. */
function undefinedIfMissing(error: unknown): HostDetails | undefined {
  if (error instanceof ApiError && error.status === 404) return undefined;
  throw error;
}

function showFleet(fleet: Fleet): void {
  const nowMs = Date.now();
  clockAheadMs = Date.parse(fleet.time) - nowMs;
  const finished = Object.values(fleet.finished_jobs).reduce((sum, jobs) => sum + jobs, 0);
  jobRate.add(nowMs, finished);
  fleetView.show(fleet, jobRate.perMinute);
  const bad = needingAttention(fleet.states);
  document.title = bad === 0 ? title : `(${number(bad)}) ${title}`;
  const news = announcer.textFor(fleet, nowMs);
  if (news !== '') connection.announce(news);
}

/** The time by the clock of the server, which may differ from the browser's. */
function serverNow(): number {
  return Date.now() + clockAheadMs;
}

function showHosts(hosts: readonly Host[], hasMore: boolean): void {
  const before = hostList.length;
  const hadFocus = document.activeElement === moreButton;
  hostList.show(hosts, serverNow(), causes);
  sections.list.classList.remove('loading');
  nothing.hidden = hosts.length > 0;
  setText(nothing, listRoute === '#/' ? NO_HOSTS : 'No host matches.');
  const { text, canShowMore } = listEnd(hosts.length, hasMore);
  setText(byId('shown', HTMLElement), text);
  moreButton.hidden = !canShowMore;
  if (hadFocus && !canShowMore) hostList.focusAt(before);
}

const NO_HOSTS = 'Enrol a host with: restic-manager hosts add NAME. It appears here by itself.';

function showLive(): void {
  connection.live(Date.now());
  forgetButton.hidden = token === undefined;
  showSection(route.view);
}

/** The server refused the request: forgets the data, and asks for another token if one might help. */
function showRefused(wantsToken: boolean): void {
  const hadToken = token !== undefined;
  signOut();
  if (!wantsToken) {
    return connection.notice(
      'This address may not see the hosts: it is in none of the networks that may scrape (metrics_trusted_cidrs).',
    );
  }
  setText(refusal, hadToken ? 'The server refused this token. Check it and try again.' : '');
  tokenInput.setAttribute('aria-invalid', String(hadToken));
  showSection('token');
  tokenInput.focus();
}

function signOut(): void {
  poller.stop();
  token = undefined;
  forgetToken();
  connection.clear();
  announcer.clear();
  hostList.clear();
  hostView.clear('');
  document.title = title;
  forgetButton.hidden = true;
  for (const section of Object.values(sections)) section.hidden = true;
}

function signIn(given: string): void {
  token = given;
  saveToken(given);
  tokenInput.value = '';
  setText(refusal, '');
  connection.connecting();
  poller.now();
}

function showSection(name: keyof typeof sections): void {
  if (!sections[name].hidden) return;
  for (const section of Object.values(sections)) section.hidden = true;
  sections[name].hidden = false;
  if (name === 'host') {
    scrollTo(0, 0);
    hostView.focus();
  } else if (name === 'list') {
    scrollTo(0, listScroll);
    hostList.focus(openedHost);
  }
}

/** Follows the fragment of the address. */
function navigate(): void {
  const given = tokenIn(location.hash);
  if (given !== undefined) {
    // Before anything else, so that nobody reads or copies it from the address.
    history.replaceState(null, '', listRoute);
    route = parseRoute(listRoute);
    signOut();
    return signIn(given);
  }
  if (!sections.list.hidden) listScroll = scrollY;
  route = parseRoute(location.hash);
  if (route.view === 'host') {
    openedHost = route.hostId;
    backLink.href = listRoute;
    hostView.clear('Loading');
  } else {
    listRoute = listFragment(route.filter);
    if (searchInput.value.trim() !== route.filter.search) searchInput.value = route.filter.search;
    fleetView.showFilter(route.filter.states);
  }
  if (!sections.token.hidden) return; // until there is a token
  if (connection.hasData) showSection(route.view);
  poller.now();
}

function toggleState(state: State): void {
  if (route.view !== 'list') return;
  const { states } = route.filter;
  const others = states.filter((other) => other !== state);
  setFilter(others.length === states.length ? [...states, state] : others);
}

/**
 * Shows other hosts: those in one of the states that have in their name what the field for the search contains. Replaces
 * the entry in the history, so that back leaves the list.
 */
function setFilter(states: readonly State[]): void {
  clearTimeout(searchTimer);
  const search = searchInput.value.trim();
  wantedHosts = HOSTS_PER_CLICK;
  sections.list.classList.add('loading');
  history.replaceState(null, '', listFragment({ states, search }));
  navigate();
}

function leaveHost(): void {
  if (cameFromList) history.back();
  else location.hash = listRoute;
}

searchInput.addEventListener('input', () => {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(() => {
    if (route.view === 'list') setFilter(route.filter.states);
  }, SEARCH_DELAY_MS);
});
byId('token-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  signIn(tokenInput.value.trim());
});
forgetButton.addEventListener('click', () => {
  token = undefined;
  showRefused(true);
});
moreButton.addEventListener('click', () => {
  wantedHosts = hostList.length + HOSTS_PER_CLICK;
  poller.now();
});
backLink.addEventListener('click', (event) => {
  event.preventDefault();
  leaveHost();
});
byId('skip', HTMLAnchorElement).addEventListener('click', (event) => {
  event.preventDefault();
  byId('main', HTMLElement).focus();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && route.view === 'host') leaveHost();
});
document.addEventListener('visibilitychange', () => poller.visibilityChanged());
addEventListener('online', () => poller.visibilityChanged());
addEventListener('hashchange', ({ oldURL }) => {
  cameFromList = parseRoute(new URL(oldURL).hash).view === 'list';
  navigate();
});

history.scrollRestoration = 'manual';
navigate();
