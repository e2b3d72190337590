import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chat, expectShown, openChat, openTab } from './chat.ts';
import { launch } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// Numbers are those of the table in README.md.

let server: Server;
let browser: Browser;
let mira: Chat;
let jonas: Chat;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  mira = await (await openChat(browser, server.url)).ready();
  jonas = await (await openChat(browser, server.url, { as: 'Jonas' })).ready();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** Writes in the page itself and tells what is there in the next frame; the row is kept as `window.kept`. */
function sayAndLook(chat: Chat, text: string, times = 1): Promise<string | null | undefined> {
  return chat.composer.evaluate(
    async (box, [text, times]) => {
      (box as HTMLTextAreaElement).value = text;
      for (let i = 0; i < times; i++)
        box.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true }));
      await new Promise(requestAnimationFrame);
      await new Promise(requestAnimationFrame);
      const rows = [...document.querySelectorAll('.bubble-row')];
      const row = rows.find(r => r.querySelector('.bubble-text')?.textContent === text);
      (window as unknown as { kept: Element | undefined }).kept = row;
      return row?.getAttribute('data-delivery');
    },
    [text, times] as const,
  );
}

test('3, 4: one’s own message is there in the next frame, and its tick changes without the row moving', async () => {
  await mira.say('the first');
  await eventually(mira.delivery('the first')).toBe('sent');
  await mira.page.context().setOffline(true); // no answer can come yet
  expect(await sayAndLook(mira, 'right away')).toMatch(/^(queued|sending)$/);
  await eventually(mira.fromEnd).toBe(0);
  const before = await mira.row('right away').boundingBox();
  await mira.page.context().setOffline(false);
  await eventually(mira.delivery('right away')).toBe('sent');
  const row = mira.row('right away');
  expect(await row.evaluate(r => r === (window as unknown as { kept: Element }).kept)).toBe(true);
  expect(await row.boundingBox()).toEqual(before);
  expect(await row.locator('.tick').textContent()).toMatch(/^(sent|delivered|Read by Jonas)$/);
});

test('5, 19: the other window shows it, and both in the order of the log', async () => {
  await jonas.row('right away').waitFor();
  await Promise.all([
    (async () => {
      for (let i = 1; i <= 5; i++) await mira.say(`from Mira ${i}`);
    })(),
    (async () => {
      for (let i = 1; i <= 5; i++) await jonas.say(`from Jonas ${i}`);
    })(),
  ]);
  await eventually(async () => (await server.messages('chat:lobby')).length).toBe(12);
  const stored = (await server.messages('chat:lobby')).map(event => event.data.text ?? '');
  for (const chat of [mira, jonas]) await expectShown(chat, stored.slice(-10));
});

test('6: Enter twice is one message, in the window, in another tab and in the log', async () => {
  await sayAndLook(mira, 'only once', 2);
  const tab = await (await openTab(mira, server.url)).ready();
  for (const chat of [mira, tab, jonas]) {
    await eventually(chat.delivery('only once')).toBe('sent');
    expect(await chat.row('only once').count()).toBe(1);
  }
  expect((await server.log('chat:lobby')).filter(e => e.data.text === 'only once')).toHaveLength(1);
  await tab.page.close();
});

test('13: a refused message says why, can be edited, tried again and discarded, and holds nothing up', async () => {
  const long = 'x'.repeat(70_000); // beyond 64 KiB
  await mira.open('design');
  await mira.say(long);
  await mira.say('behind it');
  await eventually(mira.delivery('behind it')).toBe('sent');
  const failed = mira.page.locator('.bubble-row[data-delivery="failed"]');
  await eventually(() => failed.locator('.failure p').textContent()).toMatch(/^Not sent\. .+/);
  expect(await failed.getByRole('link', { name: 'Why' }).getAttribute('href')).toMatch(/too_large/);
  await failed.getByRole('button', { name: 'Retry' }).click();
  await eventually(() => failed.count()).toBe(1);
  await failed.getByRole('button', { name: 'Edit' }).click();
  expect(await mira.composer.inputValue()).toBe(long);
  await eventually(() => failed.count()).toBe(0);
  await mira.composer.press('Enter');
  await eventually(() => failed.count()).toBe(1);
  await failed.getByRole('button', { name: 'Discard' }).click();
  await eventually(() => failed.count()).toBe(0);
  expect((await server.messages('chat:design')).map(e => e.data.text)).toEqual(['behind it']);
});

test('23: an unread badge and divider, which agree, until the room is read', async () => {
  const tab = await (await openTab(mira, server.url, { room: 'chat:quiet' })).ready();
  await server.post('chat:travel', 'Jonas', ['one', 'two', 'three']);
  for (const chat of [mira, tab]) await eventually(() => chat.badge('travel')).toBe('3');
  await eventually(() => tab.page.title()).toBe('(3) quiet · Roomlog');
  await tab.open('travel');
  await expectShown(tab, ['one', 'two', 'three']);
  const divider = tab.page.locator('.divider-new');
  await divider.waitFor();
  expect(await divider.locator('xpath=..').locator('.bubble-text').textContent()).toBe('one');
  for (const chat of [mira, tab]) await eventually(() => chat.badge('travel')).toBe(null); // read in one tab is read
  await tab.page.close();
});

test('a draft is kept in its room, and through a reload', async () => {
  await mira.open('lobby');
  await mira.composer.fill('half a sent');
  await mira.open('quiet');
  expect(await mira.composer.inputValue()).toBe('');
  await mira.page.reload();
  await mira.ready();
  await eventually(() => mira.rooms.getByRole('link', { name: 'lobby' }).textContent()).toContain(
    'Draft: half a sent',
  );
  await mira.open('lobby');
  expect(await mira.composer.inputValue()).toBe('half a sent');
  await mira.composer.fill('');
});

test('35: whatever is written is shown as written and does nothing', async () => {
  const texts = [
    '<script>window.ran = 1</script><img src=x onerror="window.ran = 1">',
    'مرحبا بالعالم',
    '👩‍👩‍👧‍👦🏳️‍🌈 done',
    'w'.repeat(5_000),
    '{"text":"not unpacked"}',
  ];
  for (const text of texts) await mira.say(text);
  await eventually(mira.delivery(texts[4] ?? '')).toBe('sent');
  const stored = (await server.messages('chat:lobby')).slice(-texts.length).map(e => e.data.text);
  expect(stored).toEqual(texts);
  await expectShown(jonas, texts);
  expect(
    await jonas
      .row('مرحبا بالعالم')
      .locator('.bubble')
      .evaluate(b => getComputedStyle(b).direction),
  ).toBe('rtl');
  const top = () =>
    jonas.page
      .locator('.bubble-text')
      .filter({ hasText: 'www' })
      .evaluate(text => Math.round(text.getBoundingClientRect().top));
  await eventually(jonas.fromEnd).toBe(0);
  const before = await top();
  await jonas.page.getByRole('button', { name: 'Show all' }).click();
  await eventually(() => jonas.page.getByRole('button', { name: 'Show less' }).count()).toBe(1);
  expect(await top()).toBe(before); // it is read on from where it was cut
  for (const chat of [mira, jonas]) {
    expect(await chat.page.evaluate(() => 'ran' in window)).toBe(false);
    expect(await chat.log.evaluate(box => box.scrollWidth - box.clientWidth)).toBe(0);
  }
});

test('38: one socket for all rooms of an account', async () => {
  const chat = await openChat(browser, 'about:blank#');
  const sockets: string[] = [];
  chat.page.on('websocket', socket => sockets.push(socket.url()));
  await chat.page.goto(`${server.url}/chat?as=Mira`);
  await chat.ready();
  for (const room of ['design', 'travel', 'lobby']) await chat.open(room);
  expect(sockets).toHaveLength(1);
  await chat.page.getByRole('radio', { name: 'Jonas' }).check({ force: true });
  await chat.ready();
  await chat.say('as Jonas now');
  await eventually(chat.delivery('as Jonas now')).toBe('sent');
  expect((await server.messages('chat:lobby')).at(-1)).toMatchObject({ author: 'Jonas' });
  expect(sockets).toHaveLength(2);
  expect(chat.complaints).toEqual([]);
});

test('37: no page complained of anything but the network that was taken away', () => {
  expect([...mira.complaints, ...jonas.complaints].filter(c => !/ERR_INTERNET_DISCONNECTED/.test(c))).toEqual(
    [],
  );
});
