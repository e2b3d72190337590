// Takes a picture of every state of the document, as chat-screens.ts does of the chat: to be looked at, not a test.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { launch } from './chromium.ts';
import { openDoc } from './doc.ts';
import { eventually } from './home.ts';
import { type Camera, camera } from './pictures.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;
let picture: Camera;

beforeAll(async () => {
  [picture, server, browser] = await Promise.all([camera('doc'), Server.start(), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test('alone, with others in it, offline, of a room that is no more', async () => {
  const mira = await (await openDoc(browser, server.url, 'Mira')).ready();
  await picture(mira, 'alone');
  const jonas = await (await openDoc(browser, server.url, 'Jonas')).ready();
  const aiko = await (await openDoc(browser, server.url, 'Aiko Yamamoto-Featherstonehaugh')).ready();
  await aiko.goBehind('no meat');
  await aiko.page.keyboard.press('Shift+Home');
  await mira.goBehind('two windows');
  await jonas.writeBehind('Everybody writes', ' his part');
  await eventually(() => mira.carets.count()).toBe(2);
  await picture(mira, 'others', () => jonas.page.keyboard.type('.'));
  await eventually(() => mira.carets.first().locator('.caret-initials').isVisible()).toBe(true);
  await picture(mira, 'others-initials');
  await jonas.page.context().close();
  await aiko.page.context().close();
  await server.kill();
  await eventually(() => mira.saved()).toBe('offline');
  await mira.page.keyboard.type(', please');
  await picture(mira, 'offline');
  await server.restart();
  await mira.ready();
  const headers = { Authorization: `Bearer ${await server.token()}` };
  await fetch(`${server.url}/v1/rooms/doc:plan`, { method: 'DELETE', headers });
  await mira.note.waitFor();
  await picture(mira, 'replaced');
});
