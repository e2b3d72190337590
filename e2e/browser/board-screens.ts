// Takes a picture of every state of the board, as chat-screens.ts does of the chat: to be looked at, not a test.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { openBoard } from './board.ts';
import { launch } from './chromium.ts';
import { type Camera, camera } from './pictures.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;
let picture: Camera;

beforeAll(async () => {
  [picture, server, browser] = await Promise.all([camera('board'), Server.start(), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test('empty, with others at it, a loss, a card that is carried', async () => {
  const mira = await (await openBoard(browser, server.url, 'Mira')).ready();
  await picture(mira, 'empty');
  const jonas = await (await openBoard(browser, server.url, 'Jonas')).ready();
  for (const title of [
    'Book the hall',
    'Ask the caterer',
    'A long title that goes on for longer than a column of a phone is wide',
  ])
    await mira.add('To do', title);
  await mira.add('Doing', 'Invitations');
  await jonas.card('Invitations').waitFor();
  const text = jonas.card('Invitations').getByRole('textbox', { name: /^Text/ });
  await text.fill('Forty by post, the others by mail.\nThe list is with Nora.');
  await text.press('Control+Enter');
  await jonas.add('Done', 'Find a date');
  await jonas.card('Find a date').getByRole('textbox', { name: 'Title' }).focus();
  await mira.card('Find a date').locator('.card-ring').waitFor();
  await picture(mira, 'others');
  await mira.rename('Book the hall', 'Book the big hall');
  await jonas.card('Book the big hall').waitFor();
  await jonas.rename('Book the big hall', 'Book the small hall');
  await mira.losses.waitFor();
  await picture(mira, 'loss');
  await mira.handle('Invitations').focus();
  await mira.page.keyboard.press('Space');
  await mira.page.keyboard.press('ArrowLeft');
  await picture(mira, 'carried');
  for (const context of browser.contexts()) await context.close();
});
