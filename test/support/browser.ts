import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, onTestFinished } from 'vitest';
import { pathOf } from './programs.ts';

/** A page, and what it did while it was open. */
export interface Visit {
  readonly page: Page;
  /** Addresses of all requests. */
  readonly requests: string[];
  /** Errors of scripts, and violations of the Content-Security-Policy. */
  readonly errors: string[];
}

export interface Look {
  readonly width?: number;
  readonly colorScheme?: 'light' | 'dark';
}

/**
 * Starts one Chromium for all tests of a file, when the first of them needs it.
 * @returns a function that opens a page with a storage of its own, for the current test
 */
export function browserForAll(): (look?: Look) => Promise<Visit> {
  let starting: Promise<Browser> | undefined;
  afterAll(async () => (await starting)?.close());
  return async ({ width = 1_400, colorScheme = 'light' } = {}) => {
    starting ??= chromium.launch({
      executablePath: pathOf('chromium'),
      // As root, Chromium starts only without its sandbox.
      args: ['--no-sandbox', '--disable-dev-shm-usage'],
    });
    const browser = await starting;
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const visit: Visit = { page, requests: [], errors: [] };
    page.on('request', (request) => visit.requests.push(request.url()));
    page.on('pageerror', (error) => visit.errors.push(error.message));
    page.on('console', (message) => {
      const text = message.text();
      // Chromium logs every answer that is no success. Some tests are about those.
      const isAnswer = text.startsWith('Failed to load resource');
      if (message.type() === 'error' && !isAnswer) visit.errors.push(text);
    });
    return visit;
  };
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Findings of axe-core, each with the elements that it is about. */
export async function accessibilityFindings(page: Page): Promise<string[]> {
  // Not as a script element, which the Content-Security-Policy of the page forbids.
  await page.evaluate(AXE);
  return page.evaluate(
    `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
      violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html).join(' ')))`,
  );
}
