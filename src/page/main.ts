import { Api, ApiError, type Fleet, type Host, type HostDetails, type State } from './api.ts';
import { Causes } from './causes.ts';
import { byId, setText } from './dom.ts';
import { FleetView } from './fleet-view.ts';
import { HostList } from './host-list.ts';
import { HostView } from './host-view.ts';
import { JobRate } from './job-rate.ts';
import { Poller } from './poller.ts';
import { listFragment, parseRoute, type Route, tokenIn } from './route.ts';
import { forgetToken, savedToken, saveToken } from './token.ts';
import { number, time } from './units.ts';
import { announcement, failure, headline, needingAttention } from './words.ts';

const POLL_MS = 5_000;
/** So many hosts cost one interval of polling. A list that is longer is loaded less often. */
const HOSTS_PER_INTERVAL = 500;
const HOSTS_PER_CLICK = 100;
/** A longer list helps nobody. Filters and the search find the others. */
const MAX_HOSTS = 2_000;
const SEARCH_DELAY_MS = 250;
/** Announcements at least this far apart do not interrupt a screen reader too often. */
const ANNOUNCE_MS = 20_000;

const title = document.title;
const connection = byId('connection', HTMLElement);
const notice = byId('notice', HTMLElement);
const live = byId('live', HTMLElement);
const main = byId('main', HTMLElement);
const refusal = byId('refusal', HTMLElement);
const tokenInput = byId('token', HTMLInputElement);
const searchInput = byId('search', HTMLInputElement);
const moreButton = byId('more', HTMLButtonElement);
const forgetButton = byId('forget', HTMLButtonElement);
const backLink = byId('back', HTMLAnchorElement);
const sections = {
  'sign-in': byId('sign-in', HTMLElement),
  list: byId('fleet', HTMLElement),
  host: byId('host', HTMLElement),
};

const fleetView = new FleetView(toggleState);
const hostList = new HostList();
const hostView = new HostView();
const jobRate = new JobRate();
const causes = new Causes();

let token = savedToken();
let route: Route = parseRoute('');
let listRoute = '#/';
let listScroll = 0;
/** The host whose page was opened from the list: the way back leads there. */
let openedHost: string | undefined;
let wantedHosts = HOSTS_PER_CLICK;
let lastDataMs: number | undefined;
let announced: { states: Fleet['states']; atMs: number } | undefined;
/** The newest data, for the words that change with the time. */
let shown: { fleet: Fleet; clockAheadMs: number; hosts?: readonly Host[]; host?: HostDetails };

const poller = new Poller({
  task: load,
  intervalMs: () =>
    POLL_MS *
    (route.view === 'list' ? Math.ceil(Math.max(1, hostList.length) / HOSTS_PER_INTERVAL) : 1),
  isVisible: () => document.visibilityState === 'visible',
});

/** Loads what the route asks for and shows it. */
async function load(signal: AbortSignal): Promise<void> {
  const api = new Api(token);
  try {
    if (route.view === 'host') {
      const [fleet, host] = await Promise.all([
        api.fleet(signal),
        loadHost(api, route.hostId, signal),
      ]);
      showFleet(fleet);
      if (host !== undefined) showHost(host);
    } else {
      const [fleet, page] = await Promise.all([
        api.fleet(signal),
        api.hosts(route.filter, wantedHosts, signal),
      ]);
      showFleet(fleet);
      showHosts(page.hosts, page.next !== null);
      showLive();
      if (await causes.load(page.hosts, api, signal)) showHosts(page.hosts, page.next !== null);
    }
    showLive();
  } catch (error) {
    if (signal.aborted) return;
    const status = error instanceof ApiError ? error.status : 0;
    if (!(error instanceof ApiError)) console.error(error);
    if (status === 401 && error instanceof ApiError) showRefused(error.wantsToken);
    else showStale(status);
    throw error;
  }
}

async function loadHost(
  api: Api,
  hostId: string,
  signal: AbortSignal,
): Promise<HostDetails | undefined> {
  try {
    return await api.host(hostId, signal);
  } catch (error) {
    // Other reasons for this status would also refuse the request for the fleet.
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    hostView.clear('This host does not exist, or was removed');
    return undefined;
  }
}

function showFleet(fleet: Fleet): void {
  const nowMs = Date.now();
  const finished = Object.values(fleet.finished_jobs).reduce((sum, jobs) => sum + jobs, 0);
  jobRate.add(nowMs, finished);
  shown = { fleet, clockAheadMs: Date.parse(fleet.time) - nowMs };
  fleetView.show(fleet, jobRate.perMinute);
  const bad = needingAttention(fleet.states);
  document.title = bad === 0 ? title : `(${number(bad)}) ${title}`;
  announceChanges(fleet.states, nowMs);
}

function showHosts(hosts: readonly Host[], hasMore: boolean): void {
  shown = { ...shown, hosts };
  const before = hostList.length;
  const hadFocus = document.activeElement === moreButton;
  hostList.show(hosts, serverNow(), causes);
  sections.list.classList.remove('loading');
  setText(byId('nothing', HTMLElement), emptyText());
  byId('nothing', HTMLElement).hidden = hosts.length > 0;
  moreButton.hidden = !hasMore || hosts.length >= MAX_HOSTS;
  if (hadFocus && moreButton.hidden) hostList.focusAt(before);
  setText(byId('shown', HTMLElement), shownText(hosts.length, hasMore));
}

function emptyText(): string {
  const isFiltered = listRoute !== '#/';
  return isFiltered
    ? 'No host matches.'
    : 'Enrol a host with: restic-manager hosts add NAME. It appears here at once.';
}

function shownText(count: number, hasMore: boolean): string {
  if (count === 0) return '';
  if (!hasMore) return `${number(count)} shown`;
  const hint = count >= MAX_HOSTS ? ' Filter or search to see the others.' : '';
  return `The first ${number(count)} shown, worst first.${hint}`;
}

function showHost(host: HostDetails): void {
  shown = { ...shown, host };
  hostView.show(host, serverNow());
}

/** The time by the clock of the server: the browser's may be wrong. */
function serverNow(): number {
  return Date.now() + shown.clockAheadMs;
}

function showLive(): void {
  lastDataMs = Date.now();
  if (document.body.classList.contains('stale')) announce('Connected again.');
  document.body.classList.remove('stale');
  document.body.classList.add('live');
  notice.hidden = true;
  setText(connection, `Live, ${time(lastDataMs)}`);
  forgetButton.hidden = token === undefined;
  showSection(route.view);
}

/** Keeps the data in view and says that it is old. */
function showStale(status: number): void {
  const words = [failure(status)];
  if (lastDataMs !== undefined) words.push(`Last data from ${time(lastDataMs)}.`);
  words.push('Trying again.');
  setText(notice, words.join(' '));
  notice.hidden = false;
  if (!document.body.classList.contains('stale')) announce(words.join(' '));
  document.body.classList.add('stale');
  document.body.classList.remove('live');
  setText(connection, 'Not connected');
}

/** The server refused the request: forgets the data and asks for another token, if one might help. */
function showRefused(wantsToken: boolean): void {
  const hadToken = token !== undefined;
  signOut();
  if (wantsToken) {
    setText(refusal, hadToken ? 'The server refused this token. Check it and try again.' : '');
    tokenInput.setAttribute('aria-invalid', String(hadToken));
    showSection('sign-in');
    tokenInput.focus();
  } else {
    setText(
      notice,
      'This address may not see the hosts: it is in none of the networks that may scrape (metrics_trusted_cidrs).',
    );
    notice.hidden = false;
  }
}

function signOut(): void {
  poller.stop();
  token = undefined;
  forgetToken();
  lastDataMs = undefined;
  announced = undefined;
  hostList.clear();
  hostView.clear('');
  document.title = title;
  document.body.classList.remove('live', 'stale');
  setText(connection, '');
  notice.hidden = true;
  forgetButton.hidden = true;
  for (const section of Object.values(sections)) section.hidden = true;
}

function signIn(given: string): void {
  token = given;
  saveToken(given);
  tokenInput.value = '';
  setText(refusal, '');
  setText(connection, 'Connecting');
  poller.now();
}

function showSection(name: keyof typeof sections): void {
  const isNew = sections[name].hidden;
  for (const [other, section] of Object.entries(sections)) section.hidden = other !== name;
  if (!isNew) return;
  if (name === 'host') {
    scrollTo(0, 0);
    hostView.focus();
  } else if (name === 'list') {
    scrollTo(0, listScroll);
    if (hostList.focus(openedHost)) openedHost = undefined;
  }
}

/** Follows the fragment of the address. */
function navigate(): void {
  const given = tokenIn(location.hash);
  if (given !== undefined) {
    // Before anything else, so that nobody reads or copies it from the address.
    history.replaceState(null, '', listRoute);
    signOut();
    signIn(given);
    return;
  }
  const previous = route;
  if (previous.view === 'list' && !sections.list.hidden) listScroll = scrollY;
  route = parseRoute(location.hash);
  if (route.view === 'host') {
    openedHost = route.hostId;
    backLink.href = listRoute;
    if (!sections['sign-in'].hidden) return;
    hostView.clear('Loading');
    if (lastDataMs !== undefined) showSection('host');
  } else {
    listRoute = listFragment(route.filter);
    if (searchInput.value !== route.filter.search) searchInput.value = route.filter.search;
    fleetView.showFilter(route.filter.states);
    if (!sections['sign-in'].hidden) return;
    if (previous.view === 'host' && lastDataMs !== undefined) showSection('list');
  }
  poller.now();
}

function toggleState(state: State): void {
  if (route.view !== 'list') return;
  const { states, search } = route.filter;
  const others = states.filter((other) => other !== state);
  setFilter(others.length === states.length ? [...states, state] : others, search);
}

/** Shows other hosts. Replaces the entry in the history, so that back leaves the list. */
function setFilter(states: readonly State[], search: string): void {
  wantedHosts = HOSTS_PER_CLICK;
  sections.list.classList.add('loading');
  history.replaceState(null, '', listFragment({ states, search }));
  navigate();
}

function announceChanges(states: Fleet['states'], nowMs: number): void {
  if (announced !== undefined && nowMs - announced.atMs < ANNOUNCE_MS) return;
  const text = announced === undefined ? '' : announcement(announced.states, states);
  announced = { states, atMs: text === '' ? Number.NEGATIVE_INFINITY : nowMs };
  if (text !== '') announce(`${text} ${shown === undefined ? '' : headline(shown.fleet)}`);
}

function announce(text: string): void {
  live.textContent = text;
}

function leaveHost(): void {
  if (openedFromList) history.back();
  else location.hash = listRoute;
}

let openedFromList = false;
let searchTimer: ReturnType<typeof setTimeout> | undefined;

byId('token-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  signIn(tokenInput.value.trim());
});
forgetButton.addEventListener('click', () => {
  signOut();
  showRefused(true);
});
searchInput.addEventListener('input', () => {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(() => {
    if (route.view === 'list') setFilter(route.filter.states, searchInput.value.trim());
  }, SEARCH_DELAY_MS);
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
  main.focus();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && route.view === 'host' && !event.defaultPrevented) leaveHost();
});
document.addEventListener('visibilitychange', () => poller.visibilityChanged());
addEventListener('online', () => poller.visibilityChanged());
addEventListener('hashchange', (event) => {
  openedFromList = parseRoute(new URL(event.oldURL).hash).view === 'list';
  navigate();
});

history.scrollRestoration = 'manual';
navigate();
