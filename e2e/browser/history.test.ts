import type { Browser, Locator } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Visit, visit } from './chromium.ts';
import { eventually, lobby, type Pane } from './home.ts';
import { Server } from './server.ts';

const stored = 130; // more than the page of 100 that a join brings

let server: Server;
let browser: Browser;
let here: Visit;
let jonas: Pane;
let scroller: Locator;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  await server.post(
    lobby,
    'Nora',
    Array.from({ length: stored }, (_, i) => `number ${i + 1}`),
  );
  here = await visit(browser, server.url);
  jonas = here.home.jonas;
  scroller = jonas.root.getByRole('log');
  await jonas.row(`number ${stored}`).waitFor();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** How far the end of the conversation is out of sight; places are fractions, the scroll is rounded. */
const fromEnd = () => scroller.evaluate(box => box.scrollHeight - box.scrollTop - box.clientHeight);
const top = () => scroller.evaluate(box => box.scrollTop);
const y = async (row: Locator) => (await row.boundingBox())?.y;

test('a room with a past opens at its end, and nobody greets', async () => {
  expect(await jonas.rows()).toHaveLength(100);
  await eventually(fromEnd).toBeLessThan(2);
  expect(await server.log(lobby)).toHaveLength(stored);
});

test('earlier messages come above what is being read, which does not move', async () => {
  await scroller.evaluate(box => {
    box.scrollTop = 0;
  });
  // The text itself: the name above the first row goes when it is no longer the first.
  const reading = jonas.row('number 31').locator('.row-text');
  const before = await y(reading);
  await jonas.root.getByRole('button', { name: 'Show earlier messages' }).click();
  await eventually(async () => (await jonas.rows()).length).toBe(stored);
  expect(await y(reading)).toBe(before);
  await eventually(() => jonas.root.getByText('The room begins here.').count()).toBe(1);
  expect((await jonas.rows()).map(r => r.seq)).toEqual(Array.from({ length: stored }, (_, i) => i + 1));
});

test('a new message does not pull the reader away, and is one press away', async () => {
  const before = await top();
  await here.home.mira.say('are you there?');
  const news = jonas.root.getByRole('button', { name: '1 new message' });
  await news.waitFor();
  expect(await top()).toBe(before);
  await news.click();
  await eventually(() => news.count()).toBe(0);
  await eventually(fromEnd).toBeLessThan(2);
  await here.home.mira.say('good');
  await jonas.row('good').waitFor();
  await eventually(fromEnd).toBeLessThan(2);
});

test('no page complained', () => {
  expect(here.complaints).toEqual([]);
});
