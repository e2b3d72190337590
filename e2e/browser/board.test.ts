import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './access.ts';
import { type Board, openBoard } from './board.ts';
import { launch } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// Number 28 of the table in README.md, and what 11, 31, 32, 33 and 34 mean on this page. The tests are one story in two windows.

let server: Server;
let browser: Browser;
let mira: Board;
let jonas: Board;

const wide = { viewport: { width: 1280, height: 860 } };
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  mira = await (await openBoard(browser, server.url, 'Mira', wide)).ready();
  jonas = await (await openBoard(browser, server.url, 'Jonas', { ...wide, colorScheme: 'dark' })).ready();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const both = (titles: Record<string, string[]>) =>
  Promise.all([mira, jonas].map(board => eventually(() => board.titles()).toEqual(titles)));

test('a board without cards says what to do; the cards that it offers are there once, however many take them', async () => {
  const offers = [mira, jonas].map(({ page }) =>
    page.getByRole('button', { name: 'Add three sample cards' }),
  );
  const buttons = await Promise.all(offers.map(offer => offer.elementHandle()));
  // Both at once, or as nearly as it goes: a button that is gone by then does nothing.
  await Promise.all(buttons.map(button => button?.evaluate(element => (element as HTMLElement).click())));
  await both({ todo: ['Move me'], doing: ['Rename me'], done: ['Delete me'] });
  await Promise.all(offers.map(offer => offer.waitFor({ state: 'detached' })));
  // Whoever was second is told whose the cards are, and not that anything was lost: both wanted the same.
  const told = ({ page }: Board) => page.locator('.card-changes [data-field="column"]').count();
  await eventually(async () => (await told(mira)) + (await told(jonas))).toBe(3);
  expect([await mira.losses.count(), await jonas.losses.count()]).toEqual([0, 0]);
  const author = (await told(mira)) === 0 ? mira : jonas; // who deletes what another has just made is in a race with them
  for (const title of ['Move me', 'Rename me', 'Delete me'])
    await author
      .card(title)
      .getByRole('button', { name: `Delete “${title}”` })
      .click();
  await both({ todo: [], doing: [], done: [] });
  await Promise.all(offers.map(offer => offer.waitFor()));
  expect([await mira.losses.count(), await jonas.losses.count()]).toEqual([0, 0]);
});

test('cards that one adds, all see; who is at a card has a ring and a name there', async () => {
  for (const title of ['Hall', 'Food', 'Music']) await mira.add('To do', title);
  await jonas.add('Done', '<b>Date</b>');
  await both({ todo: ['Hall', 'Food', 'Music'], doing: [], done: ['<b>Date</b>'] });
  await jonas.card('Food').getByRole('textbox', { name: 'Title' }).focus();
  await mira.card('Food').locator('.card-ring', { hasText: 'Jonas' }).waitFor();
  expect(await mira.page.locator('.card-ring').count()).toBe(1);
  await mira.card('<b>Date</b>').getByText('title changed by Jonas').waitFor();
  expect(await mira.page.getByText('No cards yet').count()).toBe(0);
});

test('a card is dragged by a pointer, also between two others, and let go by Escape', async () => {
  const { page } = jonas;
  const from = async (title: string) => {
    await jonas.handle(title).hover(); // when it stands still: what is said of cards comes and goes, and moves those below
    await page.mouse.down();
  };
  const over = async (title: string, share: number) => {
    const box = await jonas.card(title).boundingBox();
    if (!box) throw new Error('it is not in sight');
    await page.mouse.move(box.x + 40, box.y + box.height * share, { steps: 4 });
  };
  await from('Hall');
  await over('<b>Date</b>', 0.9);
  await page.locator('.carried', { hasText: 'Hall' }).waitFor();
  await page.mouse.up();
  await both({ todo: ['Food', 'Music'], doing: [], done: ['<b>Date</b>', 'Hall'] });
  await from('Music');
  await over('Hall', 0.1);
  await page.mouse.up();
  await both({ todo: ['Food'], doing: [], done: ['<b>Date</b>', 'Music', 'Hall'] });
  await from('Food');
  await over('Music', 0.1);
  await page.keyboard.press('Escape');
  await page.mouse.up();
  await both({ todo: ['Food'], doing: [], done: ['<b>Date</b>', 'Music', 'Hall'] });
});

test('32, 33: a card is moved by keys, which is read aloud', async () => {
  const { page } = mira;
  await mira.handle('Music').focus();
  await page.keyboard.press('Space');
  await eventually(() => mira.status.textContent()).toContain('Took up “Music”, Done, 2 of 3.');
  await page.keyboard.press('ArrowLeft');
  await eventually(() => mira.status.textContent()).toBe('Doing, 1 of 1.');
  expect(await jonas.titles()).toMatchObject({ doing: [] }); // not before it is put down
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowUp');
  await eventually(() => mira.status.textContent()).toBe('To do, 1 of 2.');
  await page.keyboard.press('Enter');
  await eventually(() => mira.status.textContent()).toBe('Put down “Music” in To do, 1 of 2.');
  await both({ todo: ['Music', 'Food'], doing: [], done: ['<b>Date</b>', 'Hall'] });
  expect(await mira.handle('Music').evaluate(handle => handle === document.activeElement)).toBe(true);
  await page.keyboard.press('Space');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Escape');
  await eventually(() => mira.status.textContent()).toBe('“Music” is where it was.');
  await both({ todo: ['Music', 'Food'], doing: [], done: ['<b>Date</b>', 'Hall'] });
});

test('28: who loses is told who won, and puts it back by one click', async () => {
  await mira.rename('Food', 'Dinner');
  await jonas.card('Dinner').waitFor();
  await jonas.rename('Dinner', 'Buffet');
  await mira.card('Buffet').locator('.loss').waitFor();
  await eventually(() => mira.status.textContent()).toBe('Jonas changed the title after you, from “Dinner”.');
  expect(await jonas.card('Buffet').locator('.loss').count()).toBe(0);
  await mira.card('Buffet').getByRole('button', { name: 'Put mine back' }).click();
  await mira.card('Dinner').locator('.loss').waitFor({ state: 'detached' });
  await both({ todo: ['Music', 'Dinner'], doing: [], done: ['<b>Date</b>', 'Hall'] });
  await jonas.card('Dinner').getByRole('button', { name: 'Let it be' }).click();
  await jonas.card('Dinner').locator('.loss').waitFor({ state: 'detached' });
});

test('11: what is written while the server is away shows, waits, and merges field by field', async () => {
  await server.kill();
  await mira.rename('Hall', 'Big hall');
  const text = jonas.card('Hall').getByRole('textbox', { name: /^Text/ });
  await text.fill('Ask for the keys.');
  await text.press('Control+Enter');
  await mira.card('Big hall').getByText('not sent yet').waitFor();
  await server.restart();
  await both({ todo: ['Music', 'Dinner'], doing: [], done: ['<b>Date</b>', 'Big hall'] });
  await mira.card('Big hall').getByText('Ask for the keys.').waitFor();
  await mira.page.getByText('not sent yet').waitFor({ state: 'detached' });
});

test('undo takes back one’s own, never what somebody else wrote since, and says so', async () => {
  await mira.undo.click();
  await both({ todo: ['Music', 'Dinner'], doing: [], done: ['<b>Date</b>', 'Hall'] });
  await mira.page.getByRole('heading', { name: 'Board' }).click(); // nobody types
  await mira.page.keyboard.press('Control+Shift+Z');
  await both({ todo: ['Music', 'Dinner'], doing: [], done: ['<b>Date</b>', 'Big hall'] });
  await jonas.rename('Big hall', 'Small hall');
  await mira.card('Small hall').waitFor();
  await mira.page.keyboard.press('Control+Z');
  await eventually(() => mira.status.textContent()).toBe(
    'Jonas has changed this since: that was left as it is.',
  );
  await mira.card('Small hall').getByRole('button', { name: 'Delete' }).click();
  await both({ todo: ['Music', 'Dinner'], doing: [], done: ['<b>Date</b>'] });
  await mira.undo.click();
  await both({ todo: ['Music', 'Dinner'], doing: [], done: ['<b>Date</b>', 'Small hall'] });
  await jonas.card('Small hall').getByText('Ask for the keys.').waitFor();
});

test('31, 34: a phone has all of it, with large targets; axe finds nothing serious in light and in dark', async () => {
  const aiko = await (await openBoard(browser, server.url, 'Aiko', phone)).ready();
  await aiko.card('Small hall').waitFor();
  expect(await aiko.page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  const small = await aiko.page
    .locator('main button, main input, main textarea, .pages a')
    .evaluateAll(all => all.filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML));
  expect(small).toEqual([]);
  expect(await seriousFindings(aiko.page)).toEqual([]);
  expect(await seriousFindings(jonas.page)).toEqual([]);
  expect(aiko.complaints).toEqual([]);
});

test('no page complained, but for the server that was away', () => {
  // Killed, it refuses what comes then, and leaves what was under way without an answer.
  const away =
    /ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_SOCKET_NOT_CONNECTED|ERR_EMPTY_RESPONSE|WebSocket connection to/;
  expect([...mira.complaints, ...jonas.complaints].filter(text => !away.test(text))).toEqual([]);
});
