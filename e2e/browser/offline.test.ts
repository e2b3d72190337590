import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Visit, visit } from './chromium.ts';
import { eventually, expectAllSame, greetingLength } from './home.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;
let here: Visit;
let there: Visit;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  here = await visit(browser, server.url);
  await here.home.greeted();
  there = await visit(browser, server.url);
  await there.home.greeted();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test('a device without a network says so in its own words, and sends later', async () => {
  const { mira } = here.home;
  await here.page.context().setOffline(true);
  await mira.say('written offline');
  await mira.say('this too');
  await eventually(() => mira.words.textContent()).toBe('You are offline. 2 messages will be sent later.');
  expect(await mira.row('written offline').count()).toBe(1);
  await there.home.jonas.say('meanwhile');
  await eventually(() => there.home.jonas.row('meanwhile').getAttribute('data-delivery')).toBe('sent');
  expect(await there.home.mira.row('written offline').count()).toBe(0);

  await here.page.context().setOffline(false);
  const panes = [here.home.mira, here.home.jonas, there.home.mira, there.home.jonas];
  const texts = await expectAllSame(server, panes, greetingLength + 3);
  expect(texts.slice(greetingLength)).toEqual(['meanwhile', 'written offline', 'this too']);
});

test('no page complained of anything but the missing network', () => {
  const all = [...here.complaints, ...there.complaints];
  expect(all.filter(line => !/ERR_INTERNET_DISCONNECTED/.test(line))).toEqual([]);
});
