import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { seriousFindings, tabAround } from './access.ts';
import { type Chat, openChat } from './chat.ts';
import { launch, leave, openContext } from './chromium.ts';
import { eventually } from './home.ts';
import { FaultProxy } from './proxy.ts';
import { Server } from './server.ts';

// Numbers are those of the table in README.md.

let server: Server;
let proxy: FaultProxy;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  await server.post('chat:lobby', 'Jonas', ['Good morning.', 'Shall we?']);
  await server.post('chat:lobby', 'Mira', ['We shall.']);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});
beforeEach(async () => {
  proxy = await FaultProxy.start(server.url);
});
afterEach(async () => {
  await leave(browser);
  await proxy?.stop();
});

const wide = { width: 1280, height: 860 };
const phone = { width: 390, height: 844 };
const narrow = { width: 320, height: 640 };

/** The account and the rooms are in a drawer where there is no room beside the conversation. */
async function openDrawer(chat: Chat): Promise<void> {
  await chat.page.getByRole('button', { name: 'Rooms' }).click();
  await chat.page.locator('dialog[open]').waitFor();
}

// Each theme and each size once: what axe looks at depends on the one or on the other.
const looks = [
  { colorScheme: 'light', viewport: wide, width: 1280 },
  { colorScheme: 'dark', viewport: phone, width: 390 },
] as const;

describe('31, 33', () => {
  test.each(looks)(
    'axe finds nothing serious in $colorScheme at $width px: talking, empty, refused, lost',
    async ({ colorScheme, viewport }) => {
      const chat = await (await openChat(browser, proxy.url, { colorScheme, viewport })).ready();
      await chat.row('We shall.').waitFor();
      await chat.say('x'.repeat(70_000));
      await chat.page.locator('.failure').waitFor();
      expect(await seriousFindings(chat.page)).toEqual([]);
      await chat.page.getByRole('button', { name: 'Discard' }).click();
      if (viewport === phone) {
        await openDrawer(chat);
        expect(await seriousFindings(chat.page)).toEqual([]);
      }
      await chat.page.goto(`${proxy.url}/chat?room=chat:quiet`);
      await chat.page.getByText('Nobody has said anything yet').waitFor();
      expect(await seriousFindings(chat.page)).toEqual([]);
      await chat.page.goto(`${proxy.url}/chat?room=no room`);
      await chat.page.getByText('This room cannot be opened').waitFor();
      expect(await seriousFindings(chat.page)).toEqual([]);
      await chat.page.getByRole('button', { name: 'Take it off the list' }).click();
      await chat.row('We shall.').waitFor();
      await proxy.fault({ kind: 'refuse' });
      await proxy.cut('');
      await chat.say('into the dark');
      await chat.page.getByRole('button', { name: 'Retry now' }).waitFor();
      expect(await seriousFindings(chat.page)).toEqual([]);
    },
  );
});

test('31: a theme that was chosen on another page holds here', async () => {
  const chat = await (await openChat(browser, server.url, { colorScheme: 'light' })).ready();
  const paper = () => chat.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await paper();
  await chat.page.goto(server.url);
  await chat.page.getByRole('radio', { name: 'Dark' }).check({ force: true });
  await chat.page.getByRole('navigation').getByRole('link', { name: 'Chat' }).click();
  await chat.ready();
  expect(await chat.page.evaluate(() => document.documentElement.dataset.theme)).toBe('dark');
  expect(await paper()).not.toBe(light);
});

test('32: by keyboard alone: write, change rooms, open another, with a visible focus and no trap', async () => {
  const chat = await (await openChat(browser, server.url)).ready();
  const { keyboard } = chat.page;
  await eventually(() => chat.composer.evaluate(box => box === document.activeElement)).toBe(true);
  await keyboard.type('typed only');
  await keyboard.press('Shift+Enter');
  await keyboard.type('on two lines');
  await keyboard.press('Enter');
  await eventually(async () => (await chat.texts()).at(-1)).toBe('typed only\non two lines');

  const names = (await tabAround(chat.page)).join('\n');
  for (const name of ['Messages in chat:lobby', 'design', 'Send', 'Open', 'Chat'])
    expect(names).toContain(name);

  await chat.rooms.getByRole('link', { name: 'travel' }).focus();
  await keyboard.press('Enter');
  await chat.page.getByRole('heading', { level: 1, name: 'travel' }).waitFor();
  await eventually(() => chat.composer.evaluate(box => box === document.activeElement)).toBe(true);
  await chat.page.getByLabel('Open another room').focus();
  await keyboard.type('garden');
  await keyboard.press('Enter');
  await chat.page.getByRole('heading', { level: 1, name: 'garden' }).waitFor();
  await eventually(async () => new URL(chat.page.url()).searchParams.get('room')).toBe('chat:garden');
});

test('32: on a phone the rooms are a dialog that Escape closes, and the focus comes back', async () => {
  const chat = await (await openChat(browser, server.url, { viewport: phone })).ready();
  const button = chat.page.getByRole('button', { name: 'Rooms' });
  await button.focus();
  await chat.page.keyboard.press('Enter');
  await chat.page.locator('dialog[open]').waitFor();
  await chat.page.keyboard.press('Escape');
  await eventually(() => chat.page.locator('dialog[open]').count()).toBe(0);
  await eventually(() => button.evaluate(b => b === document.activeElement)).toBe(true);
});

test('33: a log that is polite at its end alone, and one region for everything else', async () => {
  const chat = await (await openChat(browser, server.url)).ready();
  await eventually(() => chat.log.getAttribute('aria-live')).toBe('polite');
  expect(await chat.log.getAttribute('aria-relevant')).toBe('additions');
  await eventually(() => chat.log.getAttribute('aria-busy')).toBe('false');
  expect(await chat.log.getAttribute('aria-label')).toBe('Messages in chat:lobby');
  expect(await chat.status.count()).toBe(1);
  expect(await chat.page.locator('[aria-live]:not([role=log])').count()).toBe(0);
  expect(await chat.page.locator('.banner[role], .banner [role=status]').count()).toBe(0);
});

const targets =
  '.composer button, .composer textarea, .rooms-button, .room-link, .open-room input, .drawer button, .pages a';

test.each([phone, narrow])(
  '34: at $width px targets are 44 px, nothing overflows, the composer stays in sight',
  async viewport => {
    const chat = await (await openChat(browser, server.url, { viewport })).ready();
    const long = `${'w'.repeat(300)} at ${viewport.width}`;
    await chat.say(long);
    await eventually(chat.delivery(long)).toBe('sent');
    await openDrawer(chat);
    const small = await chat.page
      .locator(targets)
      .evaluateAll(all =>
        all.filter(t => t.getBoundingClientRect().height < 44).map(t => t.outerHTML.slice(0, 120)),
      );
    expect(small).toEqual([]);
    await chat.page.keyboard.press('Escape');
    expect(await chat.page.evaluate(() => document.documentElement.scrollWidth)).toBe(viewport.width);
    // The pages are reached by a swipe where they do not fit; what holds them is in sight.
    const outside = await chat.page
      .locator('.top *:not(.pages *), .conversation-head *')
      .evaluateAll(
        (all, width) =>
          all.filter(e => e.getBoundingClientRect().right > width).map(e => e.outerHTML.slice(0, 100)),
        viewport.width,
      );
    expect(outside).toEqual([]);
    // The keyboard takes half of the screen.
    await eventually(chat.fromEnd).toBe(0);
    await chat.page.setViewportSize({ width: viewport.width, height: 400 });
    await eventually(async () => {
      const composer = await chat.composer.boundingBox();
      return (composer?.y ?? 400) + (composer?.height ?? 0);
    }).toBeLessThanOrEqual(400);
    await eventually(chat.fromEnd).toBe(0);
  },
);

test('36: times are those of the server, whatever the device’s clock says', async () => {
  const context = await openContext(browser, {
    viewport: wide,
    locale: 'en-GB',
    timezoneId: 'Asia/Tokyo',
  });
  const page = await context.newPage();
  await page.addInitScript(() => {
    const { now } = Date;
    const skew = 26 * 3_600_000; // a clock that is late would hide behind "just now"
    const RealDate = Date;
    globalThis.Date = new Proxy(RealDate, {
      construct: (Real, given: [number]) =>
        new Real(...(given.length > 0 ? given : ([now() + skew] as [number]))),
    });
    RealDate.now = () => now() + skew;
  });
  await page.goto(`${server.url}/chat?as=Mira&room=chat:skewed`);
  await page.locator('.signal[data-state="connected"]').waitFor();
  const box = page.locator('.composer textarea');
  await box.fill('by a clock that is a day ahead');
  await box.press('Enter');
  const row = page.locator('.bubble-row').filter({ hasText: 'by a clock that is a day ahead' });
  await eventually(() => row.getAttribute('data-delivery')).toBe('sent');
  expect(await page.locator('.bubble-row .bubble-ago').last().textContent()).toBe('just now');
  expect(await page.locator('.divider').last().textContent()).toBe('Today');
  const stored = await row.locator('time').getAttribute('datetime');
  const zoned = new Intl.DateTimeFormat('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
    timeZone: 'Asia/Tokyo',
  });
  expect(await row.locator('time').textContent()).toBe(zoned.format(new Date(String(stored))));
});

test('nothing moves for those who asked for that', async () => {
  const chat = await (await openChat(browser, server.url, { reducedMotion: 'reduce' })).ready();
  expect(await chat.page.evaluate(() => document.getAnimations().length)).toBe(0);
});

test('everything that is embedded is at most 400 KiB compressed', async () => {
  const dist = new URL('../../web/dist/', import.meta.url);
  const names = (await readdir(dist, { recursive: true, withFileTypes: true })).filter(f => f.isFile());
  let bytes = 0;
  for (const { parentPath, name } of names) bytes += gzipSync(await readFile(join(parentPath, name))).length;
  console.log(`embedded: ${(bytes / 1024).toFixed(1)} KiB compressed`);
  expect(names.length).toBeGreaterThan(10);
  expect(bytes).toBeLessThanOrEqual(400 * 1024);
});

test('the scripts of the chat are at most 140 KB compressed', async () => {
  const page = await (await fetch(`${server.url}/chat`)).text();
  const scripts = [...page.matchAll(/(?:src|href)="([^"]+\.js)"/g)].map(m => m[1]);
  expect(scripts.length).toBeGreaterThan(0);
  let bytes = 0;
  for (const script of scripts)
    bytes += gzipSync(await (await fetch(`${server.url}${script}`)).text()).length;
  console.log(`scripts: ${(bytes / 1000).toFixed(1)} KB compressed`);
  expect(bytes).toBeLessThanOrEqual(140_000);
});
