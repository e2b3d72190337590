// Takes a picture of every state of the page of pointers, as chat-screens.ts does of the chat, and says how many frames are
// drawn with thirty people: to be looked at, not a test.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { launch } from './chromium.ts';
import { openCursors } from './cursors.ts';
import { framesOf } from './frames.ts';
import { eventually } from './home.ts';
import { type Camera, camera } from './pictures.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;
let picture: Camera;

beforeAll(async () => {
  [picture, server, browser] = await Promise.all([camera('cursors'), Server.start(), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test('alone, three people, thirty more', async () => {
  const mira = await (await openCursors(browser, server.url, 'Mira')).ready();
  await mira.alone.waitFor();
  await picture(mira, 'alone');
  const jonas = await (await openCursors(browser, server.url, 'Jonas')).ready();
  await jonas.pointAt({ x: 0.5, y: 0.76 });
  const aiko = await (await openCursors(browser, server.url, 'Aiko')).ready();
  await aiko.pointAt({ x: 0.96, y: 0.5 });
  await aiko.page.mouse.down();
  const priya = await (await openCursors(browser, server.url, 'Priya Ramanathan-Featherstonehaugh')).ready();
  await priya.pointAt({ x: 0.2, y: 0.3 });
  await mira.pointer('Priya Ramanathan-Featherstonehaugh').waitFor({ state: 'attached' });
  await mira.frame.focus();
  for (let i = 0; i < 5; i++) await mira.page.keyboard.press('Shift+ArrowLeft');
  await picture(mira, 'three');
  await mira.page.locator('.pointer[data-state="idle"]').nth(2).waitFor({ state: 'attached' });
  await picture(mira, 'idle');
  await mira.page.getByRole('switch').click();
  await eventually(() => mira.page.locator('.pointer').count()).toBe(34);
  await picture(mira, 'thirty');
  for (const context of browser.contexts()) await context.close();
});

test('how many frames are drawn with thirty people', async () => {
  const mira = await (await openCursors(browser, server.url, 'Mira')).ready();
  await mira.page.getByRole('switch').click();
  await eventually(() => mira.page.locator('.pointer').count()).toBe(30);
  console.log(`${await mira.page.locator('.readout').textContent()}; ${await framesOf(mira.page)}`);
});
