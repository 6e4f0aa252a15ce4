// Words for what a person does with the page, shared by the end-to-end tests.
// Not here: what should come of it (the tests say that).

import { test as base, type ConsoleMessage, expect, type Page } from '@playwright/test';

export { expect };

/** The served page; `below` is the same build under a sub-path. */
export function siteAddress(place: 'root' | 'below' = 'root'): string {
  const address = process.env[place === 'root' ? 'E2E_SITE' : 'E2E_SITE_BELOW'];
  if (address === undefined || address === '') throw new Error('site.ts has not served the page.');
  return address;
}

/** Everything the page complained about while the test ran. */
export class Complaints {
  readonly all: string[] = [];

  constructor(page: Page) {
    page.on('console', (message: ConsoleMessage) => {
      if (message.type() === 'error') this.all.push(`${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.all.push(`uncaught: ${error.stack ?? error.message}`));
    page.on('requestfailed', (request) =>
      this.all.push(`request failed: ${request.url()} ${request.failure()?.errorText ?? ''}`),
    );
    page.on('response', (response) => {
      if (response.status() >= 400) this.all.push(`${response.status()} for ${response.url()}`);
    });
  }
}

/** A test whose page must not complain: any console error fails it, unless the test empties `complaints.all`. */
export const test = base.extend<{ complaints: Complaints }>({
  complaints: [
    async ({ page }, use) => {
      const complaints = new Complaints(page);
      await use(complaints);
      expect(complaints.all).toEqual([]);
    },
    { auto: true },
  ],
});

/** Opens the page on a named backend and waits until its worker has answered. */
export async function open(
  page: Page,
  backend: 'webgpu' | 'wasm',
  place: 'root' | 'below' = 'root',
): Promise<void> {
  await page.goto(`${siteAddress(place)}?backend=${backend}`);
}
