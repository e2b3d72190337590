import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chat, openChat, openTab } from './chat.ts';
import { launch } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// Pages that are left, hidden and come back. Numbers are those of the table in README.md.

let server: Server;
let browser: Browser;
let chat: Chat;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch(true)]);
  await server.post('chat:lobby', 'Jonas', ['before']);
  chat = await (await openChat(browser, server.url)).ready();
  await chat.row('before').waitFor();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test('16: the back button brings the page as it was, and it is fresh without a reload', async () => {
  await chat.composer.fill('half a sentence');
  await chat.page.evaluate(() => {
    (window as unknown as { kept: boolean }).kept = true;
  });
  await chat.page.goto(`${server.url}/healthz`);
  await server.post('chat:lobby', 'Jonas', ['while it was away']);
  await chat.page.evaluate(() => history.back()); // the browser's own call waits for a load that does not come
  await chat.row('while it was away').waitFor();
  expect(await chat.page.evaluate(() => 'kept' in window)).toBe(true);
  expect(await chat.composer.inputValue()).toBe('half a sentence');
  await chat.composer.fill('');
});

test('15, 23: a tab out of sight reads nothing; in sight again, the news are set apart', async () => {
  // Chromium without a screen calls every tab visible.
  const hide = (hidden: boolean) =>
    chat.page.evaluate(hidden => {
      const value = hidden ? 'hidden' : 'visible';
      Object.defineProperty(document, 'visibilityState', { value, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await hide(true);
  await server.post('chat:lobby', 'Jonas', ['unseen one', 'unseen two']);
  await chat.row('unseen two').waitFor();
  const divider = chat.page.locator('.divider-new');
  await eventually(() => divider.locator('xpath=..').locator('.bubble-text').textContent()).toBe(
    'unseen one',
  );
  const other = await (await openTab(chat, server.url, { room: 'chat:quiet' })).ready();
  await eventually(() => other.badge('lobby')).toBe('2');
  await hide(false);
  await eventually(() => other.badge('lobby')).toBe(null);
  expect(await divider.count()).toBe(1); // it stays until one answers
  await chat.say('here I am');
  await eventually(() => divider.count()).toBe(0);
});

test('a reload shows the room at once, before there is a connection', async () => {
  await chat.context.route('**/v1/**', route => route.abort());
  await chat.page.reload();
  await chat.row('before').waitFor();
  expect(await chat.signal.getAttribute('data-state')).not.toBe('connected');
  await chat.context.unroute('**/v1/**');
  await chat.ready();
  await chat.row('here I am').waitFor();
});
