import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenUp, launch, type Visit, visit } from './chromium.ts';
import { eventually, expectAllSame, greetingLength, type Pane } from './home.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;
let here: Visit;
let there: Visit;
let panes: Pane[];

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  here = await visit(browser, server.url);
  await here.home.greeted();
  there = await visit(browser, server.url);
  await there.home.greeted();
  panes = [here.home.mira, here.home.jonas, there.home.mira, there.home.jonas];
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test('the greeting is made once, whoever opens the page', async () => {
  const texts = await expectAllSame(server, panes, greetingLength);
  expect(texts).toHaveLength(greetingLength);
});

test('two people at two machines talk both ways', async () => {
  await here.home.mira.say('Hello from here');
  await eventually(() => there.home.jonas.row('Hello from here').count()).toBe(1);
  await there.home.jonas.say('And from there');
  await eventually(() => here.home.mira.row('And from there').count()).toBe(1);
  const texts = await expectAllSame(server, panes, greetingLength + 2);
  expect(texts.slice(-2)).toEqual(['Hello from here', 'And from there']);
});

test('a short tunnel: what waited flows on, once and in order', async () => {
  const { mira, jonas } = here.home;
  await mira.setTunnel(true);
  await mira.say('short, from inside');
  await there.home.jonas.say('short, from outside');
  await eventually(() => jonas.row('short, from outside').count()).toBe(1);
  expect(await mira.row('short, from outside').count()).toBe(0);
  expect(await mira.row('short, from inside').getAttribute('data-delivery')).not.toBe('sent');
  await mira.setTunnel(false);
  await expectAllSame(server, panes, greetingLength + 4);
  await eventually(() => mira.verdict.textContent()).toBe('Caught up: 1 new, 1 sent, nothing missing.');
});

test('a long tunnel: the connection is given up, and everything still comes once and in order', async () => {
  const { mira, jonas } = here.home;
  const said = await mira.recordWords();
  await mira.setTunnel(true);
  for (let i = 1; i <= 3; i++) await mira.say(`inside ${i}`);
  for (let i = 1; i <= 4; i++) await jonas.say(`outside ${i}`);
  await eventually(() => there.home.mira.row('outside 4').count()).toBe(1);
  // Silence, then a probe without an answer: the client notices by itself that the line is dead.
  await eventually(() => mira.connection.getAttribute('data-state')).toBe('reconnecting');
  await eventually(() => mira.words.textContent()).toMatch(/^Reconnecting… (retrying in \d+ s|trying now)$/);
  expect((await said())[0]).toBe('One moment…'); // nothing alarming at first
  await eventually(() => mira.root.getByRole('button', { name: 'Retry now' }).count()).toBe(1);
  expect(await mira.row('outside 1').count()).toBe(0);
  await jonas.say('outside 5');
  // Stored before the way out, or it would come live.
  await eventually(() => there.home.mira.row('outside 5').count()).toBe(1);
  await mira.setTunnel(false);
  const texts = await expectAllSame(server, panes, greetingLength + 12);
  expect(texts.filter(t => t.startsWith('inside'))).toEqual(['inside 1', 'inside 2', 'inside 3']);
  await eventually(() => mira.verdict.textContent()).toBe('Caught up: 5 new, 3 sent, nothing missing.');
  expect(await mira.root.locator('.cell[data-kind="replay"]').count()).toBeGreaterThanOrEqual(5);
});

test('no page complained', () => {
  const all = [...here.complaints, ...there.complaints];
  expect(all.filter(line => !givenUp.test(line))).toEqual([]);
});
