import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './access.ts';
import { openChat } from './chat.ts';
import { launch, leave, visit } from './chromium.ts';
import { Server } from './server.ts';

// The page /errors. Numbers are those of the table in README.md.

let server: Server;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});
afterEach(async () => {
  await leave(browser);
});

test('37: a refused message links to what its code means: cause and cure, in sight', async () => {
  const chat = await (await openChat(browser, server.url)).ready();
  await chat.say('x'.repeat(70_000));
  await chat.page.getByRole('link', { name: 'Why' }).click();
  await chat.page.waitForURL(`${server.url}/errors#message_too_large`);
  const entry = chat.page.locator('section:target');
  expect(await entry.getByRole('heading').textContent()).toBe('message_too_large');
  expect(await entry.locator('dt').allTextContents()).toEqual(['Cause', 'Cure']);
  for (const said of await entry.locator('dd').allTextContents()) expect(said.length).toBeGreaterThan(20);
  await chat.page.waitForFunction(() => {
    const box = document.querySelector(':target')?.getBoundingClientRect();
    return box !== undefined && box.top >= 0 && box.top < innerHeight / 2;
  });
  expect(chat.complaints).toEqual([]);
});

test('37: every code in its list is explained on the page', async () => {
  const { page } = await visit(browser, `${server.url}/errors`);
  expect(await page.title()).toBe('Errors · Roomlog');
  const links = await page
    .locator('.codes a')
    .evaluateAll(all => all.map(a => a.getAttribute('href')?.slice(1)));
  expect(links).toEqual(expect.arrayContaining(['forbidden', 'reset', 'no_token', 'author_mismatch']));
  for (const code of links) expect(await page.locator(`section[id="${code}"] dd`).count()).toBe(2);
});

test.each([
  { colorScheme: 'light', width: 1280 },
  { colorScheme: 'dark', width: 390 },
] as const)('31: axe finds nothing serious in $colorScheme at $width px', async ({ colorScheme, width }) => {
  const { page, complaints } = await visit(browser, `${server.url}/errors#bad_request`, {
    colorScheme,
    viewport: { width, height: 844 },
  });
  // The entries are alike: the one that is linked to and another say all.
  const others = '.code-entry ~ .code-entry ~ .code-entry';
  expect(await seriousFindings(page, others)).toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
  expect(complaints).toEqual([]);
});

test('31: it has the look of the other pages, and the theme that was chosen there', async () => {
  const { page, complaints } = await visit(browser, `${server.url}/chat`, { colorScheme: 'light' });
  await page.getByRole('radio', { name: 'Dark' }).check({ force: true });
  const look = () =>
    page.evaluate(() => {
      const { backgroundColor, color } = getComputedStyle(document.documentElement);
      return { backgroundColor, color, font: getComputedStyle(document.body).font };
    });
  const there = await look();
  await page.goto(`${server.url}/errors`);
  expect(await look()).toEqual(there);
  expect(complaints).toEqual([]);
});
