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

// What a browser itself prints while a server is gone, and for a tunnel that went with it.
const unavoidable =
  /ERR_CONNECTION_(REFUSED|RESET|CLOSED)|ERR_SOCKET_NOT_CONNECTED|ERR_EMPTY_RESPONSE|WebSocket connection to|status of 404/;

test('kill -9 of the server in the middle of sends: all there once and in order in both (I1, I2, I6)', async () => {
  const mira = here.home.mira;
  const jonas = there.home.jonas;
  const each = 30;
  const write = async (pane: typeof mira, name: string) => {
    for (let i = 1; i <= each; i++) await pane.say(`${name} ${i}`);
  };
  const writing = Promise.all([write(mira, 'mira'), write(jonas, 'jonas')]);
  await eventually(() => there.home.jonas.row('mira 5').count()).toBe(1);
  await server.kill();
  await writing;
  await server.restart();

  const panes = [mira, here.home.jonas, there.home.mira, jonas];
  const texts = await expectAllSame(server, panes, greetingLength + 2 * each);
  expect(texts).toHaveLength(greetingLength + 2 * each);
  for (const name of ['mira', 'jonas']) {
    const sent = Array.from({ length: each }, (_, i) => `${name} ${i + 1}`);
    expect(texts.filter(t => t.startsWith(name))).toEqual(sent);
  }
});

test('the tunnels work again after the restart, which took the old ones with it', async () => {
  const { mira, jonas } = here.home;
  await mira.setTunnel(true);
  await jonas.say('after the crash');
  await eventually(() => jonas.row('after the crash').getAttribute('data-delivery')).toBe('sent');
  expect(await mira.row('after the crash').count()).toBe(0);
  await mira.setTunnel(false);
  await eventually(() => mira.row('after the crash').count()).toBe(1);
});

test('no page complained of anything but the crash', () => {
  const all = [...here.complaints, ...there.complaints];
  expect(all.filter(line => !unavoidable.test(line))).toEqual([]);
});
