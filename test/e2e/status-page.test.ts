import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync } from 'node:zlib';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { accessibilityFindings, browserForAll } from '../support/browser.ts';
import { freePort } from '../support/free-port.ts';
import { ask } from '../support/http.ts';
import { needs } from '../support/programs.ts';
import { finished, report } from '../support/reports.ts';
import { addHosts, Served, servedForAll, TOKEN, temporaryDirectory } from '../support/serve.ts';

/** HTML that would run a script, and letters of a language that is written from right to left. */
const HOSTILE_NAME = '<img src=x onerror="alert(1)"> שרת';
const HOSTILE_ERROR = 'Fatal: \u202egnp.exe <script>alert(2)</script>';

/** A host that reports by HTTP. */
async function reporting(served: Served, host: string, ...messages: object[]): Promise<string> {
  const { token } = await served.addHost(host);
  await report(served.url, token, messages);
  return token;
}

const failed = (id: string, error: string) =>
  finished(id, { status: 'failed', exit_code: 12, error });

function signedIn({ url }: { readonly url: string }): string {
  return `${url}/#token=${TOKEN}`;
}

async function textOf(page: Page, selector: string): Promise<string> {
  return (await page.locator(selector).textContent()) ?? '';
}

describe('the answer to GET /', () => {
  const served = servedForAll();

  test('is one document of less than 60 KB, which may load nothing from elsewhere', async () => {
    const { status, headers, body } = await ask(`${served().url}/`);
    expect(status).toBe(200);
    expect(body.length).toBeLessThan(60_000);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['referrer-policy']).toBe('no-referrer');
    expect(headers['cache-control']).toBe('no-store');
    expect(headers.vary).toBe('Accept-Encoding');
    expect(headers['cross-origin-opener-policy']).toBe('same-origin');
    expect(headers['cross-origin-resource-policy']).toBe('same-origin');
    const policy = String(headers['content-security-policy']).split('; ');
    expect(policy).toEqual([
      "default-src 'none'",
      expect.stringMatching(/^script-src 'sha256-[\w+/]{43}='$/),
      expect.stringMatching(/^style-src 'sha256-[\w+/]{43}='$/),
      'img-src data:',
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
  });

  test('is the same document with gzip, and only its headers for HEAD', async () => {
    const plain = await ask(`${served().url}/`);
    const zipped = await ask(`${served().url}/`, { headers: { 'Accept-Encoding': 'gzip' } });
    expect(zipped.headers['content-encoding']).toBe('gzip');
    const policy = 'content-security-policy';
    expect(zipped.headers[policy]).toBe(plain.headers[policy]);
    expect(gunzipSync(zipped.body).equals(plain.body)).toBe(true);
    const head = await ask(`${served().url}/`, { method: 'HEAD' });
    expect([head.status, head.body.length]).toEqual([200, 0]);
    expect(head.headers['content-length']).toBe(String(plain.body.length));
  });

  test('is 405 for other methods', async () => {
    const { status, headers } = await ask(`${served().url}/`, { method: 'POST' });
    expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  test('is 404 if no gate is configured', async () => {
    const open = await Served.start({ RM_METRICS_TOKEN: '' });
    expect((await ask(`${open.url}/`)).status).toBe(404);
  });

  test('comes from the listener of /metrics only, and from every agent loop', async () => {
    const apart = await Served.start({ RM_METRICS_LISTEN: '127.0.0.1:0', RM_AGENT_THREADS: '2' });
    expect((await ask(`${apart.url}/`)).status).toBe(404);
    expect((await ask(new URL('/', apart.metricsUrl).href)).status).toBe(200);
    const together = await Served.start({ RM_AGENT_THREADS: '2' });
    expect((await ask(`${together.url}/`)).status).toBe(200);
  });
});

needs('chromium').describe('the status page in Chromium', () => {
  const visit = browserForAll();
  const served = servedForAll();

  test('a token in the address is removed from it, and is in no request line', async () => {
    const { page, requests, errors } = await visit();
    await page.goto(signedIn(served()));
    await page.locator('#fleet').waitFor();
    expect(page.url()).toBe(`${served().url}/#/`);
    expect(await page.evaluate('history.length')).toBe(2); // with about:blank
    expect(requests.length).toBeGreaterThan(2);
    for (const url of requests) {
      expect(new URL(url).origin).toBe(served().url);
      expect(url.split('#')[0]).not.toContain(TOKEN);
    }
    expect(served().log).not.toContain(TOKEN);
    expect(errors).toEqual([]);
    await page.reload();
    await page.locator('#fleet').waitFor();
  });

  test('a wrong token is refused in words, and the right one is accepted, with the keyboard alone', async () => {
    const { page } = await visit();
    await page.goto(served().url);
    await page.locator('#sign-in').waitFor();
    expect(await textOf(page, '#refusal')).toBe('');
    await page.keyboard.type('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('The server refused this token').waitFor();
    await page.keyboard.type(TOKEN);
    await page.keyboard.press('Enter');
    await page.locator('#fleet').waitFor();
    await page.locator('#forget').click();
    await page.locator('#sign-in').waitFor();
    await page.reload();
    await page.locator('#sign-in').waitFor();
    expect(await page.locator('#hosts li').count()).toBe(0);
  });

  test('a token that no header can contain is refused, too', async () => {
    const { page, errors } = await visit();
    await page.goto(`${served().url}/#token=%F0%9F%94%91`);
    await page.getByText('The server refused this token').waitFor();
    expect(errors).toEqual([]);
  });

  test('ages are right although the clock of the browser is wrong, and so is the planned interval', async () => {
    const HOUR = 3_600_000;
    const hello = {
      protocol_version: 1,
      agent_version: '1',
      hostname: 'x',
      backup_interval_seconds: 86_400,
    };
    const finished_at = new Date(Date.now() - 3 * HOUR - 60_000).toISOString();
    await reporting(
      served(),
      'aged',
      { type: 'hello', payload: hello },
      finished('1', { started_at: finished_at, finished_at }),
    );
    const { page } = await visit();
    await page.clock.setSystemTime(Date.now() + 5 * HOUR);
    await page.goto(signedIn(served()));
    const row = page.locator('#hosts li', { hasText: 'aged' });
    await row.getByText('Backed up 3 h ago').waitFor();
    await row.locator('a').click();
    await page.locator('#facts', { hasText: 'Planned every' }).waitFor();
    expect(await textOf(page, '#facts')).toContain('Planned every1 day');
  });

  test('an address with a token that is opened while a host is shown leads to the list', async () => {
    await reporting(served(), 'shown', finished('1'));
    const { page } = await visit();
    await page.goto(signedIn(served()));
    await page.locator('#hosts a', { hasText: 'shown' }).click();
    await page.locator('#jobs table').waitFor();
    await page.goto(signedIn(served()));
    await page.locator('#hosts a', { hasText: 'shown' }).waitFor();
    expect(page.url()).toBe(`${served().url}/#/`);
    expect(await page.locator('#host').isVisible()).toBe(false);
  });

  test('a host that fails while the page is open appears first, without a reload', async () => {
    const token = await reporting(served(), 'fine-1', finished('1'));
    const { page } = await visit();
    await page.goto(signedIn(served()));
    const row = page.locator('#hosts li', { hasText: 'fine-1' });
    await row.getByText('Backed up just now').waitFor();
    await report(served().url, token, [failed('2', 'first line\nFatal: wrong password')]);
    await row.getByText('exit code 12: ').waitFor();
    expect(await row.textContent()).toContain('Fatal: wrong password');
    expect(await page.locator('#hosts li').first().getAttribute('class')).toBe('failed');
    expect(await textOf(page, '#live')).toContain('1 more host whose last backup failed.');
    expect(await textOf(page, '#headline')).toMatch(/need.* attention/);
  });

  test('a name and an error with HTML and direction characters are only text', async () => {
    await reporting(served(), HOSTILE_NAME, failed('1', HOSTILE_ERROR));
    const { page, errors } = await visit();
    let dialogs = 0;
    page.on('dialog', (dialog) => {
      dialogs++;
      return dialog.dismiss();
    });
    await page.goto(signedIn(served()));
    const link = page.locator('#hosts a', { hasText: HOSTILE_NAME });
    await link.waitFor();
    await page.locator('#hosts bdi', { hasText: HOSTILE_ERROR }).waitFor();
    await link.click();
    await page.locator('#jobs pre bdi', { hasText: HOSTILE_ERROR }).waitFor();
    expect(await textOf(page, '#host-name bdi')).toBe(HOSTILE_NAME);
    // Everywhere: what an agent wrote is isolated from the text around it.
    const outside = await page.evaluate(
      `[...document.querySelectorAll('body *:not(script, noscript)')].filter((element) => !element.closest('bdi') &&
        [...element.childNodes].some((node) => node.nodeType === 3 && /[\\u202e<]/.test(node.data))).length`,
    );
    expect(outside).toBe(0);
    expect(await page.locator('main img, main script').count()).toBe(0);
    expect([dialogs, errors]).toEqual([0, []]);
  });

  test('the list is filtered and searched, and back leads from a host to the same place', async () => {
    const all = Array.from({ length: 3 }, (_, index) => `searched-${index}`);
    for (const host of all) await reporting(served(), host, finished('1'));
    await reporting(served(), 'searched-failed', failed('1', 'Fatal: no space'));
    const { page } = await visit();
    await page.goto(signedIn(served()));
    await page.locator('#search').fill('SEARCHED');
    await page.locator('#hosts li').nth(3).waitFor();
    await expect.poll(() => page.locator('#hosts li').count()).toBe(4);
    await page.getByRole('button', { name: 'Failed', pressed: false }).click();
    await expect.poll(() => page.locator('#hosts li').count()).toBe(1);
    expect(page.url()).toBe(`${served().url}/#/?state=failed&search=SEARCHED`);
    await page.keyboard.press('Tab');
    await page.locator('#hosts a').focus();
    await page.keyboard.press('Enter');
    await page.locator('#jobs table').waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('host-name');
    expect(await textOf(page, '#jobs tbody')).toContain('Failed, exit code 12');
    await page.keyboard.press('Escape');
    await page.locator('#fleet').waitFor();
    expect(page.url()).toContain('state=failed&search=SEARCHED');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('searched-failed');
    await page.goForward();
    await page.locator('#jobs table').waitFor();
    await page.goBack();
    await page.locator('#fleet').waitFor();
  });

  test('a host that does not exist is said not to exist', async () => {
    const { page } = await visit();
    await page.goto(signedIn(served()));
    await page.locator('#fleet').waitFor();
    await page.evaluate(`location.hash = '#/hosts/01JD8Z5N3V9Q4R7T2W6X8Y0A1B'`);
    await page.getByText('This host does not exist').waitFor();
  });

  test('axe-core finds nothing in any view, and nothing is wider than the page', async () => {
    const token = await reporting(served(), 'with-alerts', failed('1', 'a\nb\nc\nd\nFatal: e'));
    await report(served().url, token, [finished('2', { kind: 'prune', status: 'failed' })]);
    for (const width of [380, 1_400]) {
      for (const colorScheme of ['light', 'dark'] as const) {
        const { page } = await visit({ width, colorScheme });
        const check = async (view: string) => {
          const findings = await accessibilityFindings(page);
          expect(findings, `${view}, ${width}, ${colorScheme}`).toEqual([]);
          expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
        };
        await page.goto(served().url);
        await page.locator('#sign-in').waitFor();
        await check('token');
        await page.goto(`${served().url}/#token=wrong`);
        await page.getByText('The server refused this token').waitFor();
        await check('wrong token');
        await page.goto(signedIn(served()));
        await page.locator('#hosts li').first().waitFor();
        await check('list');
        await page.locator('#hosts a', { hasText: 'with-alerts' }).click();
        await page.locator('#jobs table').waitFor();
        await page.locator('summary').first().click();
        await check('host');
        await page.context().setOffline(true);
        // Makes it ask at once, and not in some seconds.
        await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
        await page.locator('#notice', { hasText: 'The server does not answer.' }).waitFor();
        await check('stale');
      }
    }
  }, 120_000);

  test('Tab reaches everything in the order of the page, with a visible focus', async () => {
    await reporting(served(), 'reached', finished('1'));
    const { page } = await visit();
    await page.goto(signedIn(served()));
    await page.locator('#hosts li').first().waitFor();
    const reached: string[] = [];
    for (let step = 0; step < 12; step++) {
      await page.keyboard.press('Tab');
      const [name, outline] = (await page.evaluate(
        `(() => { const at = document.activeElement; const box = at.closest('#hosts') ? '::after' : null;
          return [at.id || at.className.split(' ')[0] || at.tagName, getComputedStyle(at, box).outlineStyle]; })()`,
      )) as [string, string];
      expect(outline, name).toBe('solid');
      reached.push(name);
    }
    expect(reached).toEqual(['skip', 'A', 'forget', ...Array(7).fill('filter'), 'search', 'A']);
  });

  test('polls only while it is visible', async () => {
    const { page, requests } = await visit();
    await page.clock.install();
    await page.goto(signedIn(served()));
    await page.locator('#fleet').waitFor();
    const hide = (state: string) =>
      page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))`);
    await hide('hidden');
    await page.waitForLoadState('networkidle');
    const before = requests.length;
    await page.clock.runFor(120_000);
    expect(requests.length).toBe(before);
    await hide('visible');
    await expect.poll(() => requests.length).toBeGreaterThan(before);
  });
});

needs('chromium').describe('the status page and a server that goes away', () => {
  const visit = browserForAll();

  test('keeps the data, says since when it is old, and continues when the server is back', async () => {
    const RM_LISTEN = `127.0.0.1:${await freePort()}`;
    const first = await Served.start({ RM_LISTEN });
    await reporting(first, 'web-1', finished('1'));
    const { page, errors } = await visit();
    await page.goto(signedIn(first));
    await page.locator('#hosts li', { hasText: 'web-1' }).waitFor();
    await first.stop();
    const notice = page.getByText(
      /^The server does not answer\. Last data from \d\d:\d\d:\d\d\. Trying again\.$/,
    );
    await notice.first().waitFor();
    expect(await page.locator('#hosts li').count()).toBe(1);
    await Served.start({ RM_LISTEN }, first.dataDir);
    await page.getByText(/^Live, /).waitFor();
    expect(await page.locator('#notice').isVisible()).toBe(false);
    expect(errors).toEqual([]);
  });

  test('needs no token if only a network is configured, and says so if it is another one', async () => {
    const open = await Served.start({
      RM_METRICS_TOKEN: '',
      RM_METRICS_TRUSTED_CIDR: '127.0.0.0/8',
    });
    const { page } = await visit();
    await page.goto(open.url);
    await page.getByText('No hosts are enrolled yet').waitFor();
    expect(await page.locator('#forget').isVisible()).toBe(false);
    const closed = await Served.start({
      RM_METRICS_TOKEN: '',
      RM_METRICS_TRUSTED_CIDR: '192.0.2.0/24',
    });
    await page.goto(closed.url);
    await page.getByText('This address may not see the hosts').waitFor();
    expect(await page.locator('#sign-in').isVisible()).toBe(false);
  });
});

needs('chromium').test(
  '100,000 hosts are a first page within a second, and freeze nothing',
  async () => {
    const dataDir = temporaryDirectory();
    await addHosts(dataDir, 1);
    const db = new DatabaseSync(join(dataDir, 'fleet.db'));
    // Faster than a hundred thousand tokens. Every hundredth host failed.
    db.exec(`WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000)
      INSERT INTO hosts (host_id, host, token_digest, enrolled_at, status, agent_version, last_backup_at, last_backup_ok)
      SELECT printf('01JD8Z5N3V%016d', n), 'host-' || n, randomblob(32), 0, 'offline', '1', ${Date.now() - 60_000},
        n % 100 <> 0 FROM n`);
    db.close();
    const served = await Served.start({}, dataDir);
    const { page, errors } = await open100000();
    await page.goto(signedIn(served));
    await page.locator('#hosts li').nth(99).waitFor();
    expect(await textOf(page, '#headline')).toMatch(/of 100,000 hosts need attention/);
    expect(await textOf(page, '#shown')).toBe('The first 100 shown, worst first.');
    const longestTask = () => page.evaluate('Math.max(0, ...window.longTasks)');
    await page.locator('#more').click();
    await page.locator('#hosts li').nth(199).waitFor();
    await page.locator('#search').fill('host-99999');
    await page.getByText('1 shown', { exact: true }).waitFor();
    expect(await longestTask()).toBeLessThan(1_000);
    expect(errors).toEqual([]);
  },
  120_000,
);

const visitLarge = browserForAll();

/** A page that records how long its tasks take, in milliseconds. */
async function open100000() {
  const visited = await visitLarge();
  await visited.page.addInitScript(`window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(({ duration }) => duration)))
      .observe({ type: 'longtask', buffered: true });`);
  return visited;
}
