import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';
import { browserForAll } from '../support/browser.ts';
import { needs } from '../support/programs.ts';
import { finished, report } from '../support/reports.ts';
import { addHosts, type Served, servedForAll, TOKEN } from '../support/serve.ts';

/** More hosts than the list shows at first. */
const PENDING = 105;
const HOUR = 3_600_000;

const hoursAgo = (hours: number) => new Date(Date.now() - hours * HOUR).toISOString();
const at = (hours: number) => ({ started_at: hoursAgo(hours + 1), finished_at: hoursAgo(hours) });

/** One host that is well, one whose last backup failed, and many without a report. */
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
  await report(served.url, bad.token, [
    finished('1', at(50)),
    finished('2', { ...at(5), ...failed, error: ' \n ' }),
    finished('3', { ...at(4), ...failed, error: 'a\nb\nFatal: c\n' }),
    finished('4', { ...at(3), ...failed, exit_code: 12, error: 'a\nb\nc\nd\nFatal: e\n' }),
  ]);
  await addHosts(served.dataDir, PENDING);
}

/** Makes the page ask now, and not in some seconds, and waits until it shows the answers. */
async function update(page: Page): Promise<void> {
  await page.evaluate(`document.getElementById('connection').textContent = '';
    document.dispatchEvent(new Event('visibilitychange'))`);
  await page.getByText(/^Live, /).waitFor();
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
    expect(await page.title()).toBe('(1) restic-manager');
    expect(await page.locator('#totals > div').allTextContents()).toEqual([
      'Online2 of 2',
      'Open alerts1 warning',
      'Running jobs1 prune',
      'Finished jobs… per minute',
    ]);
    expect(await page.locator('#filters button').allTextContents()).toEqual([
      'Failed 1',
      'Never backed up 0',
      'Overdue 0',
      'Offline 0',
      'Alerts 0',
      'OK 1',
      `Pending ${PENDING}`,
    ]);
    expect(await page.locator('#filters .zero').count()).toBe(4);
    const rows = await page.locator('#hosts li').allTextContents();
    expect(rows.slice(0, 3)).toEqual([
      expect.stringMatching(
        /^Failedbad.*Last backup failed 3 h ago, exit code 12: Fatal: eLast success 2 days ago$/,
      ),
      'OKwellBacked up 3 h ago1.5 GiB, 1 snapshot',
      expect.stringMatching(/^Pendinghost-\d+Enrolled/),
    ]);
  });

  test('a host has its facts, and its jobs with their results, durations and errors', async () => {
    const { page } = await openedHost('bad');
    expect(await page.locator('#facts > div').allTextContents()).toEqual([
      'Agentonline',
      expect.stringMatching(/^Last success\d.* \(2 days ago\)$/),
      expect.stringMatching(/^Last backup\d.* \(3 h ago\)$/),
      'Snapshots0',
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
    await page.locator('#back').focus();
    await update(page);
    expect(await page.evaluate('document.activeElement.id')).toBe('back');
    await page.keyboard.press('Enter');
    await page.locator('#hosts li').first().waitFor();
    await page.evaluate('scrollTo(0, 500)');
    await page.evaluate(`document.getElementById('search').focus({ preventScroll: true })`);
    await update(page);
    expect(await page.evaluate('[scrollY, document.activeElement.outerHTML]')).toEqual([500, 'search']);
  });
});
