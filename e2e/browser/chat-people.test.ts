import type { Browser, Page } from 'playwright-core';
import { type Client, createClient } from 'roomlog';
import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { type Chat, openChat, openTab } from './chat.ts';
import { launch } from './chromium.ts';
import { eventually } from './home.ts';
import { FaultProxy } from './proxy.ts';
import { Server } from './server.ts';

// Who is here, who is typing, who has read it. Numbers are those of the table in README.md.

// What takes up to 15 s by default, and 30 s in a black hole, takes a few. A page that does much else still answers its pings in time.
const fast = ['--ping-every=1s', '--pong-within=5s', '--presence-grace=1s'];

let server: Server;
let browser: Browser;
let mira: Chat;
let jonas: Chat;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(async () => fast), launch()]);
  mira = await (await openChat(browser, server.url)).ready();
  jonas = await (await openChat(browser, server.url, { as: 'Jonas' })).ready();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** How somebody is shown in the list of people: by name, presence. */
const people = (chat: Chat) => () =>
  chat.page
    .locator('.person')
    .evaluateAll(rows =>
      rows.map(row => [
        row.querySelector('.person-name')?.textContent ?? '',
        row.getAttribute('data-presence') ?? '',
      ]),
    );

/** Ends a tab as a crash does: it says no goodbye. */
async function killTab(page: Page): Promise<void> {
  const crashed = page.waitForEvent('crash');
  const devtools = await page.context().newCDPSession(page);
  void devtools.send('Page.crash').catch(() => {}); // it does not live to answer
  await crashed;
}

test('24, 25: two tabs of one are one dot, which is right after one is killed, and after the last', async () => {
  const here = [
    ['Mira (you)', 'online'],
    ['Jonas', 'online'],
  ];
  await eventually(people(mira)).toEqual(here);
  const second = await (await openTab(jonas, server.url, { as: 'Jonas' })).ready();
  await eventually(people(second)).toEqual([
    ['Jonas (you)', 'online'],
    ['Mira', 'online'],
  ]);
  await killTab(jonas.page);
  await second.say('still here'); // what the crash did to Jonas has come by then
  await mira.row('still here').waitFor();
  expect(await people(mira)()).toEqual(here);
  await killTab(second.page);
  await eventually(people(mira)).toEqual([
    ['Mira (you)', 'online'],
    ['Jonas', 'away'],
  ]);
  await eventually(() => mira.page.locator('.person').last().textContent()).toContain('last seen just now');
  await jonas.context.close();
});

test('24: who is in a black hole has gone, and is back when it ends', async () => {
  const proxy = await FaultProxy.start(server.url);
  jonas = await (await openChat(browser, proxy.url, { as: 'Jonas' })).ready();
  await eventually(async () => (await people(mira)())[1]).toEqual(['Jonas', 'online']);
  await proxy.fault({ kind: 'blackhole' });
  await eventually(async () => (await people(mira)())[1]).toEqual(['Jonas', 'away']);
  await jonas.context.close();
  await proxy.stop();
  jonas = await (await openChat(browser, server.url, { as: 'Jonas' })).ready();
  await eventually(async () => (await people(mira)())[1]).toEqual(['Jonas', 'online']);
});

test('26: typing is shown, and gone with an empty field, with the message and with the room', async () => {
  const typing = mira.page.locator('.typing');
  const type = async () => {
    await jonas.composer.press('a');
    await eventually(() => typing.textContent()).toBe('Jonas is typing…');
  };
  await type();
  await jonas.composer.press('Backspace');
  await eventually(() => typing.textContent()).toBe('');
  await type();
  await jonas.composer.press('Enter');
  await eventually(() => typing.textContent()).toBe('');
  await type();
  await jonas.open('travel');
  await eventually(() => typing.textContent()).toBe('');
  expect(await jonas.page.locator('.typing').textContent()).toBe(''); // nobody is told of themselves
  await eventually(async () => (await people(mira)())[1]).toEqual(['Jonas', 'away']); // his dot is where he is
  await jonas.open('lobby');
  await jonas.composer.fill('');
});

test('ticks: sent, delivered to a device that shows another room, read by name', async () => {
  await jonas.open('quiet');
  await mira.say('where are you?');
  const tick = mira.row('where are you?').locator('.tick');
  await eventually(() => tick.textContent()).toBe('delivered');
  await jonas.open('lobby');
  await eventually(() => tick.textContent()).toBe('Read by Jonas');
  const names = tick.locator('.tick-names');
  expect(await names.isVisible()).toBe(false);
  await tick.focus();
  expect(await names.isVisible()).toBe(true);
  await mira.composer.focus();
});

test('23: a badge, and what is read, on two tabs and another device', async () => {
  const tab = await (await openTab(mira, server.url, { room: 'chat:quiet' })).ready();
  const device = await (await openChat(browser, server.url, { room: 'chat:quiet' })).ready();
  await mira.open('design');
  await server.post('chat:travel', 'Jonas', ['one', 'two']);
  await server.append('chat:travel', 'Jonas', 'message', { text: '@Mira?', mentions: ['Mira'] });
  for (const chat of [mira, tab, device]) await eventually(() => chat.badge('travel')).toBe('3');
  await eventually(() => device.rooms.getByRole('link', { name: 'travel' }).textContent()).toContain(
    '1 mention of you',
  );
  await device.open('travel');
  await eventually(() =>
    device.page.locator('.divider-new').locator('xpath=..').locator('.bubble-text').textContent(),
  ).toBe('one');
  for (const chat of [mira, tab, device]) await eventually(() => chat.badge('travel')).toBe(null);
  await tab.page.close();
  await device.context.close();
  await mira.open('lobby');
});

test('a crowd of long names in every script fits, on a screen and on a phone', async () => {
  const names = Array.from({ length: 60 }, (_, i) =>
    i % 3 === 0 ? `مستخدم-${i}` : `Maximiliane-Alexandra-von-und-zu-Hohenstein-${i}`,
  );
  const crowd: Client[] = names.map(user =>
    createClient({ url: server.url, token: () => server.token(user), WebSocket }),
  );
  for (const client of crowd) {
    const room = client.room('chat:lobby');
    room.presence.others.subscribe(() => {});
    room.attach();
  }
  await eventually(() => mira.page.locator('.person[data-presence="online"]').count()).toBe(62);
  const tooWide = () =>
    mira.page.evaluate(() => [
      document.documentElement.scrollWidth - innerWidth,
      ...[...document.querySelectorAll('.people, .people ul, .person')].map(
        e => e.scrollWidth - e.clientWidth,
      ),
    ]);
  expect(Math.max(...(await tooWide()))).toBeLessThanOrEqual(0);
  await mira.page.setViewportSize({ width: 390, height: 844 });
  await mira.page.getByRole('button', { name: 'People: 62 here' }).click();
  await eventually(() => mira.page.locator('.person').count()).toBe(62);
  expect(Math.max(...(await tooWide()))).toBeLessThanOrEqual(0);
  await mira.page.keyboard.press('Escape');
  await eventually(() =>
    mira.page.locator('.people-button').evaluate(b => b === document.activeElement),
  ).toBe(true);
  await Promise.all(crowd.map(client => client.close()));
});

test('37: no page complained', () => {
  expect(mira.complaints).toEqual([]);
});
