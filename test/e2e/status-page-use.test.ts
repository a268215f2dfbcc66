import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { AgentClient } from '../../src/demo/agent-client.ts';
import { browserForAll } from '../support/browser.ts';
import { needs } from '../support/programs.ts';
import { finished, report } from '../support/reports.ts';
import { addHosts, eventually, type Served, servedForAll, TOKEN } from '../support/serve.ts';

/** More hosts than the list shows at first. */
const PENDING = 105;
const HOUR = 3_600_000;

const hoursAgo = (hours: number) => new Date(Date.now() - hours * HOUR).toISOString();
const at = (hours: number) => ({ started_at: hoursAgo(hours + 1), finished_at: hoursAgo(hours) });

/** One host that is well, one whose last backup failed, one that has left, and many without a report. */
async function tell(served: Served): Promise<void> {
  const well = await served.addHost('well');
  await report(served.url, well.token, [
    finished('1', { ...at(3), summary: { bytes_added: 1_500_000 } }),
    { type: 'repo.stats', payload: { total_size_bytes: 1_610_612_736, snapshot_count: 1 } },
    {
      type: 'job.started',
      payload: { job_id: 'r', kind: 'prune', started_at: hoursAgo(2) },
    },
  ]);
  const bad = await served.addHost('bad');
  const failed = { status: 'failed', exit_code: 1 };
  const hello = { protocol_version: 1, agent_version: '', hostname: 'x', restic_version: '0.18' };
  await report(served.url, bad.token, [
    { type: 'hello', payload: hello },
    finished('1', at(50)),
    finished('2', { ...at(5), ...failed, error: ' \n ' }),
    finished('3', { ...at(4), ...failed, error: 'a\nb\nFatal: c\n' }),
    finished('4', { ...at(3), ...failed, exit_code: 12, error: 'a\nb\nc\nd\nFatal: e\n' }),
  ]);
  let leave = async () => {};
  const away = await served.addHost('away');
  await new Promise<void>((resolve) => {
    const { agentUrl: url } = served;
    const agent = new AgentClient({ url, token: away.token, hello, onPresence: () => resolve() });
    agent.connect();
    leave = () => agent.disconnect();
  });
  await leave();
  await eventually(async () => expect(await served.scrape()).toMatch(/^rm_hosts_online 2$/m));
  await addHosts(served.dataDir, PENDING);
  const pending = new RegExp(`^rm_hosts_pending ${PENDING}$`, 'm');
  await eventually(async () => expect(await served.scrape()).toMatch(pending));
}

/** From now on, no timer of the page ends. */
async function pauseClock(page: Page): Promise<void> {
  await page.clock.install();
  await page.clock.pauseAt(Date.now() + 60_000);
}

/** Makes the page ask now, and not in some seconds, and waits until it shows the answers. */
async function update(page: Page): Promise<void> {
  await page.evaluate(`document.getElementById('connection').textContent = '';
    document.dispatchEvent(new Event('visibilitychange'))`);
  await page.getByText(/^Live, /).waitFor();
}

function textsOf(page: Page, selector: string): Promise<string[]> {
  return page.locator(selector).allTextContents();
}

needs('chromium').describe('the status page', () => {
  const visit = browserForAll();
  const served = servedForAll();
  beforeAll(() => tell(served()));

  const address = (fragment = `#token=${TOKEN}`) => `${served().url}/${fragment}`;

  /** A page that shows the list. */
  async function opened() {
    const visited = await visit();
    await visited.page.goto(address());
    await visited.page.locator('#hosts li').first().waitFor();
    return visited;
  }

  /** A page that shows a host of the list. */
  async function openedHost(name: string) {
    const visited = await opened();
    await visited.page.locator('#hosts a', { hasText: name }).click();
    await visited.page.locator('#jobs table').waitFor();
    return visited;
  }

  test('shows the totals, the counts of the states and what is known of a host', async () => {
    const { page } = await opened();
    expect(await page.title()).toBe('(2) restic-manager');
    expect(await page.locator('#totals > div').allTextContents()).toEqual([
      'Online2 of 3',
      'Open alerts1 warning',
      'Running jobs1 prune',
      'Finished jobs… per minute',
    ]);
    expect(await page.locator('#filters button').allTextContents()).toEqual([
      'Failed 1',
      'Never backed up 1',
      'Overdue 0',
      'Offline 0',
      'Alerts 0',
      'OK 1',
      `Pending ${PENDING}`,
    ]);
    expect(await page.locator('#filters .zero').count()).toBe(3);
    // The error of the last backup comes with a request of its own.
    await page.locator('#hosts li', { hasText: 'Fatal: e' }).waitFor();
    const rows = await page.locator('#hosts li').allTextContents();
    expect(rows.slice(0, 4)).toEqual([
      expect.stringMatching(
        /^Failedbad.*Last backup failed 3 h ago, exit code 12: Fatal: eLast success 2 days ago$/,
      ),
      'NeverawayNever backed up · Offline',
      'OKwellBacked up 3 h ago1.5 GiB, 1 snapshot',
      expect.stringMatching(/^Pendinghost-\d+Enrolled/),
    ]);
    await page.route('**/api/fleet', async (route) => {
      const response = await route.fetch();
      const fleet = await response.json();
      const states = { ...fleet.states, ok: 100_000 };
      await route.fulfill({ response, json: { ...fleet, states } });
    });
    await update(page);
    const widths = await page.evaluate(`['failed', 'overdue'].map((state) =>
      document.querySelector('#bar .' + state).getBoundingClientRect().width)`);
    expect(widths, 'a state of one host is visible').toEqual([
      expect.toSatisfy((width) => width >= 4),
      0,
    ]);
  });

  test('a host has its facts, and its jobs with their results, durations and errors', async () => {
    const { page } = await openedHost('bad');
    expect(await page.locator('#facts > div').allTextContents()).toEqual([
      'Agentonline',
      expect.stringMatching(/^Last success\d.* \(2 days ago\)$/),
      expect.stringMatching(/^Last backup\d.* \(3 h ago\)$/),
      'Snapshots0',
      'restic version0.18',
      expect.stringMatching(/^Host ID[0-9A-Z]{26}$/),
    ]);
    expect(await page.locator('#host-alerts li').allTextContents()).toEqual([
      expect.stringMatching(/^warning Backup failed, since \d.* \(.* ago\)$|just now/),
    ]);
    const cells = (job: string) => page.locator('#jobs tbody', { hasText: job }).locator('td');
    expect(await page.locator('#jobs th').allTextContents()).toEqual([
      'Started',
      'Job',
      'Result',
      'Duration',
      'Added',
    ]);
    expect(await cells('exit code 12').allTextContents()).toEqual([
      expect.stringMatching(/^\d+ \w+, \d\d:\d\d$/),
      'backup',
      'Failed, exit code 12',
      '1 h',
      '',
      expect.stringMatching(/^Fatal: e \(5 lines\)a\nb\nc\nd\nFatal: e$/),
    ]);
    expect(await page.locator('#jobs details').count(), 'a short error is not folded').toBe(1);
    const rows = page.locator('#jobs tbody tr');
    expect(await rows.count(), 'an error of spaces has no row').toBe(6);
    const { page: other } = await openedHost('well');
    expect(await other.locator('#jobs tbody tr').allTextContents()).toEqual([
      expect.stringMatching(/:\d\dpruneRunning2 h$/),
      expect.stringMatching(/:\d\dbackupSucceeded1 h1\.4 MiB$/),
    ]);
  });

  test('an update changes neither the place nor the focus nor an error that was unfolded', async () => {
    const { page } = await openedHost('bad');
    await page.locator('summary').click();
    await update(page);
    expect(await page.locator('details[open]').count()).toBe(1);
    expect(await page.evaluate('document.activeElement.tagName')).toBe('SUMMARY');
    await page.locator('summary').click();
    await update(page);
    expect(await page.locator('details[open]').count()).toBe(0);
    await page.locator('summary').click();
    await page.locator('#back').focus();
    await update(page);
    expect(await page.evaluate('document.activeElement.id')).toBe('back');
    await page.keyboard.press('Enter');
    await page.locator('#hosts a', { hasText: 'bad' }).click();
    await page.locator('#jobs details').waitFor();
    expect(await page.locator('details[open]').count(), 'only until the host is left').toBe(0);
    await page.keyboard.press('Escape');
    await page.locator('#hosts li').first().waitFor();
    await page.evaluate('scrollTo(0, 500)');
    await page.evaluate(`document.getElementById('search').focus({ preventScroll: true })`);
    await update(page);
    expect(await page.evaluate('[scrollY, document.activeElement.id]')).toEqual([500, 'search']);
  });

  test('a host is shown from its top, and back leads to where the list was left', async () => {
    const { page } = await opened();
    // Not even what is shown while a host is loaded fits into this height.
    await page.setViewportSize({ width: 1_400, height: 60 });
    await page.evaluate(`document.querySelector('#hosts a').focus({ preventScroll: true });
      scrollTo(0, 150)`);
    await page.keyboard.press('Enter');
    await page.locator('#jobs table').waitFor();
    expect(await page.evaluate('scrollY')).toBe(0);
    await page.locator('#back').click();
    await page.locator('#fleet').waitFor();
    expect(await page.evaluate('scrollY')).toBe(150);
    expect(await page.evaluate('history.length'), 'back goes back').toBe(3);
  });

  test('from the address of a host, back and Escape lead to the list and not away', async () => {
    const { page } = await openedHost('bad');
    const host = page.url();
    for (const leave of ['back', 'Escape']) {
      await page.goto('about:blank');
      await page.goto(host);
      await page.locator('#jobs table').waitFor();
      if (leave === 'back') await page.locator('#back').click();
      else await page.keyboard.press(leave);
      await page.locator('#hosts li').first().waitFor();
      expect(page.url()).toBe(address('#/'));
    }
  });

  test('states are switched on and off, and the address has them without an entry in the history', async () => {
    const { page, requests } = await opened();
    const before = await page.evaluate('history.length');
    const pressed = () => page.locator('#filters [aria-pressed=true]').allTextContents();
    const toggle = async (name: string, shown: string) => {
      await page.locator('#filters button', { hasText: name }).click();
      await page.locator('#shown', { hasText: shown }).waitFor();
    };
    await toggle('Failed', '1 shown');
    await toggle('OK', '2 shown');
    expect(page.url()).toBe(address('#/?state=failed&state=ok'));
    expect(await pressed()).toEqual(['Failed 1', 'OK 1']);
    expect(await page.locator('#fleet').getAttribute('class')).not.toContain('loading');
    await toggle('Failed', '1 shown');
    expect(await page.locator('#hosts li').allTextContents()).toEqual([
      expect.stringContaining('well'),
    ]);
    expect(await pressed()).toEqual(['OK 1']);
    expect(await page.evaluate('history.length')).toBe(before);
    expect(requests.at(-1)).toContain('api/hosts?state=ok&limit=100');
    await page.goBack();
    expect(page.url()).toBe('about:blank');
  });

  test('a load that another filter makes useless is no failure', async () => {
    const { page } = await opened();
    await page.evaluate(`window.states = [];
      new MutationObserver(() => states.push(document.getElementById('connection').textContent))
        .observe(document.getElementById('connection'), { childList: true, subtree: true, characterData: true })`);
    // The first request gets no answer.
    await page.route('**/api/hosts?*', () => {}, { times: 1 });
    const asked = page.waitForRequest('**/api/hosts?*');
    await page.locator('#filters button', { hasText: 'Failed' }).click();
    const useless = await asked;
    await page.locator('#filters button', { hasText: 'OK' }).click();
    await page.locator('#shown', { hasText: '2 shown' }).waitFor();
    expect(useless.failure()?.errorText).toBe('net::ERR_ABORTED');
    const states = await page.evaluate('states');
    for (const state of states as string[]) expect(state).toMatch(/^Live, /);
    expect(await page.locator('#notice').isVisible()).toBe(false);
  });

  test('the search asks once for what was typed, without spaces around it, and leaves the field alone', async () => {
    const { page, requests } = await opened();
    await pauseClock(page);
    await page.locator('#search').pressSequentially(' host-10 ');
    await page.clock.runFor(1_000);
    await page.locator('#shown', { hasText: '6 shown' }).waitFor();
    const searches = requests.flatMap((url) => new URL(url).searchParams.getAll('search'));
    expect(searches).toEqual(['host-10']);
    await page.clock.resume();
    await update(page);
    expect(await page.locator('#search').inputValue()).toBe(' host-10 ');
    expect(page.url()).toBe(address('#/?search=host-10'));
    await page.locator('#search').fill('well');
    await page.locator('#filters button', { hasText: 'OK' }).click();
    await page.locator('#shown', { hasText: '1 shown' }).waitFor();
    expect(page.url(), 'what was typed just before').toBe(address('#/?state=ok&search=well'));
    expect(await page.locator('#search').inputValue()).toBe('well');
    await page.locator('#search').fill('host-1000');
    await page.getByText('No host matches.').waitFor();
    expect(await textsOf(page, '#hosts, #shown')).toEqual(['', '']);
    await page.locator('#search').fill('');
    await page.locator('#filters button', { hasText: 'OK' }).click();
    await page.locator('#hosts li').nth(99).waitFor();
    expect(await page.locator('#nothing').isVisible()).toBe(false);
  });

  test('the address of a filtered list shows its filter', async () => {
    const { page } = await opened();
    await page.goto('about:blank');
    await page.goto(address('#/?state=failed&state=ok&search=e'));
    await page.locator('#hosts li').first().waitFor();
    expect(await page.locator('#hosts li').count()).toBe(1);
    expect(await page.locator('#search').inputValue()).toBe('e');
    expect(await textsOf(page, '#filters [aria-pressed=true]')).toEqual(['Failed 1', 'OK 1']);
    await page.locator('h1 a').click();
    await page.locator('#hosts li').nth(99).waitFor();
    expect(await page.locator('#search').inputValue()).toBe('');
    await page.keyboard.press('Escape'); // has no meaning in the list
    await update(page);
    expect(page.url()).toBe(address('#/'));
    await page.goBack();
    await page.locator('#shown', { hasText: '1 shown' }).waitFor();
    await page.locator('#hosts a').click();
    await page.locator('#jobs table').waitFor();
    expect(await page.locator('#back').getAttribute('href')).toBe(
      '#/?state=failed&state=ok&search=e',
    );
  });

  test('more hosts get the focus that their button had, and another filter starts with 100 again', async () => {
    const { page, requests } = await opened();
    await page.locator('#more').focus();
    await page.keyboard.press('Enter');
    await page.getByText('108 shown').waitFor();
    expect(await page.locator('#more').isVisible()).toBe(false);
    const focused = await page.evaluate('document.activeElement.textContent');
    expect(focused).toBe(await page.locator('#hosts a').nth(100).textContent());
    await page.locator('#filters button', { hasText: 'Pending' }).click();
    await page.getByText('The first 100 shown, worst first.').waitFor();
    expect(await page.locator('#more').isVisible()).toBe(true);
    expect(requests.at(-1)).toContain('limit=100');
  });

  test('the link to the content gives it the focus, and changes no address', async () => {
    const { page } = await opened();
    await page.locator('#skip').focus();
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
    expect(page.url()).toBe(address('#/'));
  });

  test('who signs out leaves nothing behind, and is not told of a wrong token', async () => {
    const { page, requests } = await openedHost('bad');
    await page.locator('#back').click();
    await page.locator('#hosts li').first().waitFor();
    await page.clock.install();
    await page.locator('#forget').click();
    await page.locator('#sign-in').waitFor();
    expect(await page.locator('#hosts li, #jobs table, #facts > div').count()).toBe(0);
    expect(await page.title()).toBe('restic-manager');
    expect(await page.locator('#forget').isVisible()).toBe(false);
    expect(await textsOf(page, '#refusal, #connection')).toEqual(['', '']);
    expect(await page.locator('#token').getAttribute('aria-invalid')).toBe('false');
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
    const before = requests.length;
    await page.clock.runFor(120_000);
    expect(requests.length, 'it asks no more').toBe(before);
  });

  test('the token is not readable while it is typed, and is gone from the field when it was given', async () => {
    const { page, requests } = await visit();
    await page.clock.install();
    await page.goto(address(''));
    await page.locator('#sign-in').waitFor();
    const field = page.locator('#token');
    expect(await field.getAttribute('type')).toBe('password');
    for (const token of ['wrong', TOKEN]) {
      expect(await page.evaluate('document.activeElement.id')).toBe('token');
      await field.fill(` ${token} `);
      await page.keyboard.press('Enter');
      if (token !== 'wrong') break;
      await page.getByText('The server refused this token').waitFor();
      expect(await field.inputValue()).toBe('');
      expect(await field.getAttribute('aria-invalid')).toBe('true');
      const before = requests.length;
      await page.clock.runFor(120_000);
      await page.evaluate(`location.hash = '#/?state=ok'`);
      await page.clock.runFor(1_000);
      expect(requests.length, 'a refused token is not tried again').toBe(before);
      expect(await page.getByText('The server refused this token').isVisible()).toBe(true);
    }
    await page.locator('#hosts li').first().waitFor();
    expect(await field.inputValue()).toBe('');
    expect(await textsOf(page, '#refusal')).toEqual(['']);
  });

  test('a browser that permits no storage shows the page as well', async () => {
    const { page, errors } = await visit();
    await page.addInitScript(`Object.defineProperty(window, 'sessionStorage', {
      get() { throw new DOMException('denied', 'SecurityError'); } })`);
    await page.goto(address());
    await page.locator('#hosts li').first().waitFor();
    await page.locator('#forget').click();
    await page.locator('#sign-in').waitFor();
    expect(errors).toEqual([]);
  });

  test('asks at once when the network is back', async () => {
    const { page } = await opened();
    await page.context().setOffline(true);
    await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
    const notice = page.locator('#notice', { hasText: 'The server does not answer.' });
    await notice.waitFor();
    expect(await textsOf(page, '#connection')).toEqual(['Not connected']);
    expect(await page.locator('body').getAttribute('class')).toBe('stale');
    expect(await textsOf(page, '#live')).toEqual(await notice.allTextContents());
    await page.context().setOffline(false);
    await page.getByText(/^Live, /).waitFor();
    expect(await textsOf(page, '#live')).toEqual(['Connected again.']);
    expect(await page.locator('body').getAttribute('class')).toBe('live');
    expect(await page.locator('#notice').isVisible()).toBe(false);
    // What the browser does then, and whether the page asks before anything else happens.
    const asked = await page.evaluate(`(() => {
      const { fetch } = window;
      const asked = [];
      window.fetch = (path, init) => { asked.push(path); return fetch(path, init); };
      dispatchEvent(new Event('online'));
      window.fetch = fetch;
      return asked;
    })()`);
    expect(asked).toEqual(['api/fleet', 'api/hosts?limit=100']);
  });

  test('an answer that is an error keeps the list, and is announced once', async () => {
    const { page } = await opened();
    await page.clock.install();
    await page.route('**/api/fleet', (route) => route.fulfill({ status: 503, body: 'no' }));
    const ask = () =>
      page.evaluate(`document.getElementById('connection').textContent = '';
      document.dispatchEvent(new Event('visibilitychange'))`);
    await ask();
    await page.locator('#notice', { hasText: 'The server cannot answer now (503).' }).waitFor();
    expect(await page.locator('#hosts li').count()).toBe(100);
    await page.evaluate(`document.getElementById('live').textContent = ''`);
    await ask();
    await page.getByText('Not connected').waitFor();
    expect(await textsOf(page, '#live')).toEqual(['']);
  });

  test('a host whose details cannot be read stays in view, and is not said to be removed', async () => {
    const { page } = await openedHost('bad');
    await page.route('**/api/hosts/*', async (route) => {
      const response = await route.fetch();
      const details = await response.json();
      const less = { alerts: [], jobs: details.jobs.slice(0, 1) };
      await route.fulfill({ response, json: { ...details, ...less } });
    });
    await update(page);
    expect(await page.locator('#jobs tbody').count(), 'what is gone is not shown').toBe(1);
    expect(await page.locator('#host-alerts > *').count()).toBe(0);
    await page.unrouteAll();
    await page.route('**/api/hosts/*', (route) => route.fulfill({ status: 503, body: '' }));
    await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
    await page.locator('#notice', { hasText: '(503)' }).waitFor();
    expect(await page.locator('#jobs table').count()).toBe(1);
    expect(await textsOf(page, '#host-name bdi')).toEqual(['bad']);
    await page.locator('#back').click();
    await page.locator('#hosts a', { hasText: 'well' }).click();
    await page.locator('#host').waitFor();
    expect(await textsOf(page, '#host-name'), 'nothing of the other host').toEqual(['Loading']);
    expect(await page.locator('#jobs table, #facts > div, #host-reasons > *').count()).toBe(0);
  });

  test('a row that moves keeps the focus', async () => {
    const { page } = await opened();
    await page.route('**/api/hosts?*', async (route) => {
      const response = await route.fetch();
      const { hosts, next } = await response.json();
      await route.fulfill({ response, json: { hosts: hosts.reverse(), next } });
    });
    await page.locator('#hosts a', { hasText: 'well' }).focus();
    await update(page);
    expect(await page.locator('#hosts a').nth(97).textContent()).toBe('well');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('well');
  });

  // The last test, because it adds a host.
  test('an alert that has ended leaves the page with the next update, and so does its reason', async () => {
    const mended = await served().addHost('mended');
    await report(served().url, mended.token, [
      finished('1', { ...at(3), status: 'failed', exit_code: 1, error: 'Fatal: x' }),
    ]);
    const { page } = await openedHost('mended');
    expect(await textsOf(page, '#host-alerts h3, #host-reasons > *')).not.toHaveLength(0);
    await report(served().url, mended.token, [finished('2', at(1))]);
    await update(page);
    expect(await textsOf(page, '#host-alerts > *')).toEqual([]);
    expect(await textsOf(page, '#jobs tbody')).toEqual([
      expect.stringContaining('Succeeded'),
      expect.stringContaining('Failed'),
    ]);
    expect(await textsOf(page, '#host-reasons > *')).toEqual([
      expect.stringContaining('Backed up'),
    ]);
  });
});
