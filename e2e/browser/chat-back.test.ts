import type { Browser, WebSocket } from 'playwright-core';
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
  [server, browser] = await Promise.all([Server.start(), launch({ keepsPages: true })]);
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

/** Hides the tab or shows it: Chromium without a screen calls every tab visible. */
const hide = (chat: Chat, hidden: boolean) =>
  chat.page.evaluate(hidden => {
    const value = hidden ? 'hidden' : 'visible';
    Object.defineProperty(document, 'visibilityState', { value, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);

test('15, 23: a tab out of sight reads nothing; in sight again, the news are set apart', async () => {
  await hide(chat, true);
  await server.post('chat:lobby', 'Jonas', ['unseen one', 'unseen two']);
  await chat.row('unseen two').waitFor();
  const divider = chat.page.locator('.divider-new');
  await eventually(() => divider.locator('xpath=..').locator('.bubble-text').textContent()).toBe(
    'unseen one',
  );
  const other = await (await openTab(chat, server.url, { room: 'chat:quiet' })).ready();
  await eventually(() => other.badge('lobby')).toBe('2');
  await hide(chat, false);
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

/** A chat in a page whose clock the test moves on, and the sockets that it has opened and not closed, and all it opened. */
async function openTimed(): Promise<{ timed: Chat; open: Set<WebSocket>; dialled: () => number }> {
  const timed = await openChat(browser, 'about:blank#');
  const open = new Set<WebSocket>();
  let count = 0;
  timed.page.on('websocket', socket => {
    count++;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  await timed.page.clock.install();
  await timed.page.goto(`${server.url}/chat?as=Mira`);
  await timed.ready();
  return { timed, open, dialled: () => count };
}

test('15: hidden for an hour it lets go of its connection and asks for nothing; seen again it is fresh', async () => {
  const { timed, open, dialled } = await openTimed();
  await hide(timed, true);
  await timed.page.clock.fastForward('04:00');
  expect(open.size).toBe(1); // a glance at another tab costs nothing
  await timed.page.clock.fastForward('01:30');
  await eventually(async () => open.size).toBe(0);
  const requests: string[] = [];
  timed.page.on('request', request => requests.push(request.url()));
  await server.post('chat:lobby', 'Jonas', ['during the hour']);
  for (let i = 0; i < 6; i++) await timed.page.clock.fastForward('10:00');
  expect(requests).toEqual([]);
  expect(dialled()).toBe(1);
  await hide(timed, false);
  await timed.row('during the hour').waitFor();
  await eventually(async () => open.size).toBe(1);
  expect(timed.complaints).toEqual([]);
});

test('15: hidden with something to send it stays until that is sent', async () => {
  const { timed, open } = await openTimed();
  await timed.context.setOffline(true);
  await timed.say('written before looking away');
  await hide(timed, true);
  await timed.page.clock.fastForward('20:00');
  await timed.context.setOffline(false);
  await eventually(async () => (await server.messages('chat:lobby')).at(-1)?.data.text).toBe(
    'written before looking away',
  );
  // What is not known to be stored would hold it for another five minutes.
  await eventually(timed.delivery('written before looking away')).toBe('sent');
  await timed.page.clock.fastForward('06:00');
  await eventually(async () => open.size).toBe(0);
});

test('14: after ten minutes of sleep it is fresh without a reload, though its socket said OPEN', async () => {
  const { timed } = await openTimed();
  const page = await timed.page.evaluateHandle(() => window);
  const dead = timed.page.context();
  await dead.setOffline(true); // frames are held, the socket stays open: what a sleeping device has
  await timed.page.clock.fastForward('10:00');
  await server.post('chat:lobby', 'Jonas', ['while it slept']);
  await dead.setOffline(false);
  await timed.row('while it slept').waitFor();
  expect(await page.evaluate(w => w === window)).toBe(true);
  await timed.say('awake');
  await eventually(timed.delivery('awake')).toBe('sent');
});

test('31: a chosen theme is there before anything is painted', async () => {
  const dressed = await (await openChat(browser, server.url, { colorScheme: 'light' })).ready();
  await dressed.page.getByRole('radio', { name: 'Dark' }).check({ force: true });
  await dressed.page.addInitScript(() => {
    new MutationObserver((_, watching) => {
      if (!document.body) return;
      (window as unknown as { atBody: string | undefined }).atBody = document.documentElement.dataset.theme;
      watching.disconnect();
    }).observe(document, { childList: true, subtree: true });
  });
  await dressed.page.reload();
  expect(await dressed.page.evaluate(() => (window as unknown as { atBody: string }).atBody)).toBe('dark');
});
