import { setTimeout as pause } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Chat, expectShown, openChat, openTab } from './chat.ts';
import { launch, leave } from './chromium.ts';
import { eventually } from './home.ts';
import { isKept } from './kept.ts';
import { note } from './noted.ts';
import { FaultProxy } from './proxy.ts';
import { Server } from './server.ts';

// Mira is behind the fault proxy, Jonas is not. Numbers are those of the table in README.md.

let browser: Browser;
let server: Server;
let proxy: FaultProxy;
let rooms = 0;
let room: string;
let mira: Chat;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  proxy = await FaultProxy.start(server.url);
});
afterAll(async () => {
  await browser?.close();
  await proxy?.stop();
  await server?.stop();
});

beforeEach(async () => {
  room = `chat:lost-${++rooms}`;
  await server.post(room, 'Jonas', ['hello']);
  mira = await (await openChat(browser, proxy.url, { room })).ready();
  await mira.row('hello').waitFor();
});
afterEach(async () => {
  await leave(browser);
  await proxy.heal();
});

/** Somebody whose way to the server has no faults. */
async function openJonas(): Promise<Chat> {
  const jonas = await (await openChat(browser, server.url, { room, as: 'Jonas' })).ready();
  await jonas.row('hello').waitFor();
  return jonas;
}

const stored = async () => (await server.messages(room)).map(event => event.data.text);

/** A cut of two seconds, whatever is done meanwhile takes. */
async function cutShortly(begin: () => Promise<void>, meanwhile: () => Promise<void>): Promise<void> {
  await begin();
  await Promise.all([pause(2_000).then(() => proxy.heal()), meanwhile()]); // its length is what is tested
}

test('7: a cut of a moment is nobody’s business, and loses nothing', async () => {
  // Waits between attempts are random (CLOSE-8), and one of many is longer than what a reader is spared: here they are short ones.
  await mira.page.evaluate(() => {
    Math.random = () => 0.1;
  });
  const noted = await note(mira);
  await cutShortly(
    () => proxy.fault({ kind: 'blackhole' }),
    async () => {
      await mira.say('into the hole');
      await server.post(room, 'Jonas', ['meanwhile']);
    },
  );
  await expectShown(mira, ['hello', ...(await settled(['meanwhile', 'into the hole']))]);
  // The same when the connection is seen to end, and no other is let in.
  await cutShortly(
    async () => {
      await proxy.fault({ kind: 'refuse' });
      await proxy.cut('');
    },
    () => mira.say('while refused'),
  );
  await eventually(mira.delivery('while refused')).toBe('sent');
  const { states, early } = await noted();
  expect(states).toContain('reconnecting');
  // On a slow machine it may be away for longer than a reader is spared of, and then the page has to say so.
  expect(early).toEqual([]);
});

test('8, 10: a longer one has a banner with the true time; then what came is counted and set apart', async () => {
  const noted = await note(mira);
  await mira.composer.fill('x'); // the tab is in use
  await proxy.fault({ kind: 'blackhole' });
  await mira.say('in flight');
  await mira.page.getByRole('button', { name: 'Retry now' }).waitFor();
  await eventually(async () => (await noted()).banners).toContainEqual(
    expect.stringMatching(/^Reconnecting… retrying in [1-9]\d? s$/),
  );
  await eventually(() => mira.status.textContent()).toBe('Connection lost. Reconnecting.');
  await server.post(room, 'Jonas', ['one', 'two', 'three']);
  await proxy.heal();
  await mira.retryNow();
  // Both for a while alone.
  await eventually(async () => (await noted()).banners).toContain('Caught up: 3 new messages');
  await eventually(async () => (await noted()).said).toContain('Caught up: 3 new messages');
  const divider = mira.page.locator('.divider-new');
  await eventually(() => divider.locator('xpath=..').locator('.bubble-text').textContent()).toBe('one');
  await eventually(mira.delivery('in flight')).toBe('sent');
  await expectShown(mira, (await stored()) as string[]);
  await eventually(() => mira.banner.count()).toBe(0); // it goes by itself
});

test('9, 11: offline has words of its own; what is written waits in sight, and leaves in order, once', async () => {
  await mira.context.setOffline(true);
  const texts = ['one for later', 'another', 'and a third'];
  for (const text of texts) await mira.say(text);
  await eventually(() => mira.banner.locator('p').textContent()).toBe(
    'You are offline. 3 messages will be sent later.',
  );
  for (const text of texts) expect(await mira.delivery(text)()).toMatch(/^(queued|sending)$/);
  await mira.context.setOffline(false);
  for (const text of texts) await eventually(mira.delivery(text)).toBe('sent');
  expect(await stored()).toEqual(['hello', ...texts]);
  await eventually(() => mira.banner.count()).toBe(0);
});

test('12: a tab that is closed with messages queued; opened again they are still there, then sent', async () => {
  await proxy.fault({ kind: 'blackhole', class: '/v1' });
  for (const text of ['queued one', 'queued two']) await mira.say(text);
  await eventually(mira.delivery('queued two')).toMatch(/^(queued|sending)$/);
  await isKept(mira.page, 'sends', 2);
  const again = await openTab(mira, proxy.url, { room }); // before the other goes, or the context would
  await mira.page.close();
  await expectShown(again, ['hello', 'queued one', 'queued two']);
  await eventually(again.delivery('queued two')).toBe('queued');
  await proxy.heal();
  for (const text of ['queued one', 'queued two']) await eventually(again.delivery(text)).toBe('sent');
  expect(await stored()).toEqual(['hello', 'queued one', 'queued two']);
});

test('6: an ack is lost and the message is sent again: one row, one event', async () => {
  const jonas = await openJonas();
  const noted = await note(mira);
  const delivered = async () => (await noted()).deliveries['stored, not acked'];
  await proxy.fault({ kind: 'blackhole', class: '/v1', direction: 'down' });
  await mira.say('stored, not acked');
  await eventually(stored).toEqual(['hello', 'stored, not acked']);
  await jonas.row('stored, not acked').waitFor();
  // It went out, and is not said to be sent; after a while the connection is given up.
  expect(await delivered()).toContain('sending');
  expect(await delivered()).not.toContain('sent');
  await proxy.heal();
  await proxy.cut('');
  await eventually(mira.delivery('stored, not acked')).toBe('sent');
  expect(await mira.row('stored, not acked').count()).toBe(1);
  expect(await stored()).toEqual(['hello', 'stored, not acked']);
});

test('17: kill -9 with a send under way: no error is shown, and it arrives once', async () => {
  const jonas = await openJonas();
  const noted = await note(mira);
  await mira.say('before');
  await Promise.all([mira.say('under way'), server.kill()]);
  await server.restart();
  for (const text of ['before', 'under way']) await eventually(mira.delivery(text)).toBe('sent');
  expect(await stored()).toEqual(['hello', 'before', 'under way']);
  await expectShown(jonas, ['hello', 'before', 'under way']);
  expect((await noted()).banners.filter(words => !words.startsWith('Reconnecting…'))).toEqual([]);
  expect(await mira.page.locator('.failure').count()).toBe(0);
});

test('14: a page whose connection died without a word is fresh soon after it wakes, without a reload', async () => {
  await proxy.fault({ kind: 'blackhole' });
  await server.post(room, 'Jonas', ['while it slept']);
  await proxy.heal();
  // What a device does when it wakes; the socket says OPEN all the while.
  await mira.page.evaluate(() => dispatchEvent(new Event('online')));
  await mira.row('while it slept').waitFor();
});

/** Waits until these are stored, and gives them in the order in which they are. */
async function settled(texts: readonly string[]): Promise<string[]> {
  await eventually(async () => (await stored()).length).toBe(texts.length + 1);
  return (await stored()).slice(1) as string[];
}
