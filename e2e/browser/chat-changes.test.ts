import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './access.ts';
import { type Chat, isInSight, openChat } from './chat.ts';
import { launch } from './chromium.ts';
import { eventually } from './home.ts';
import { note } from './noted.ts';
import { Server } from './server.ts';

// Messages that are answered, edited, reacted to, deleted and found, in one window and as the other shows it; all by keyboard.

let server: Server;
let browser: Browser;
let mira: Chat;
let jonas: Chat;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  mira = await (await openChat(browser, server.url, { colorScheme: 'dark' })).ready();
  jonas = await (await openChat(browser, server.url, { as: 'Jonas' })).ready();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** Opens the menu of the message with this text by the keyboard. */
async function openMenu(chat: Chat, text: string): Promise<void> {
  await chat.row(text).locator('.more').focus();
  await chat.page.keyboard.press('Enter');
  await chat.page.locator('.message-menu').waitFor();
}

const focused = (chat: Chat) => chat.page.evaluate(() => document.activeElement?.className);

test('the last message is edited by the arrow up, in both windows, and an edit can be given up', async () => {
  await mira.say('Thursday at tne');
  await eventually(mira.delivery('Thursday at tne')).toBe('sent');
  await mira.composer.press('ArrowUp');
  expect(await mira.composer.inputValue()).toBe('Thursday at tne');
  await mira.composer.press('Escape');
  expect(await mira.composer.inputValue()).toBe('');
  await mira.composer.press('ArrowUp');
  await mira.say('Thursday at ten');
  for (const chat of [mira, jonas]) {
    await chat.row('Thursday at ten').waitFor();
    expect(await chat.row('Thursday at tne').count()).toBe(0);
    await eventually(() => chat.row('Thursday at ten').textContent()).toContain('(edited)');
  }
  await eventually(() => mira.composer.inputValue()).toBe('');
});

test('a draft waits for the end of an edit', async () => {
  await openMenu(mira, 'Thursday at ten');
  await mira.page.keyboard.press('Escape');
  await mira.composer.fill('half a sentence');
  await openMenu(mira, 'Thursday at ten');
  await mira.page.getByRole('button', { name: 'Edit', exact: true }).press('Enter');
  await mira.say('Thursday at eleven');
  await jonas.row('Thursday at eleven').waitFor();
  expect(await mira.composer.inputValue()).toBe('half a sentence');
  await mira.composer.fill('');
});

test('a reaction is shown and told in the other window, and taken back', async () => {
  const [heard, told] = [await note(mira), await note(jonas)]; // what is said, is for a while
  await openMenu(jonas, 'Thursday at eleven');
  expect(await seriousFindings(jonas.page)).toEqual([]);
  await jonas.page.keyboard.press('ArrowRight'); // ❤️
  await jonas.page.keyboard.press('Enter');
  await eventually(async () => (await heard()).said).toContain('Jonas reacted with ❤️ to your message.');
  const theirs = mira.row('Thursday at eleven').locator('.reaction');
  await eventually(() => theirs.getAttribute('aria-label')).toBe('❤️ 1, by Jonas');
  await theirs.press('Enter');
  const ours = jonas.row('Thursday at eleven').locator('.reaction');
  await eventually(() => ours.textContent()).toBe('❤️2');
  await ours.press('Enter');
  await eventually(() => theirs.getAttribute('aria-label')).toBe('❤️ 1, by Mira');
  await eventually(async () => (await told()).said).toContain('You took ❤️ back.');
});

test('an answer quotes its message and leads to it; a mention stands out for whom it means', async () => {
  await server.post(
    'chat:lobby',
    'Nora',
    Array.from({ length: 30 }, (_, i) => `in between ${i + 1}`),
  );
  await jonas.row('in between 30').waitFor();
  await jonas.log.hover();
  await eventually(async () => {
    await jonas.page.mouse.wheel(0, -600);
    return jonas.row('Thursday at eleven').count();
  }).toBe(1);
  await openMenu(jonas, 'Thursday at eleven');
  await jonas.page.getByRole('button', { name: 'Reply', exact: true }).press('Enter');
  await eventually(() => jonas.page.locator('.about').textContent()).toContain('Reply to Mira');
  await jonas.say('Fine with me, @mira.');
  const answer = mira.page.locator('.bubble-row').filter({ hasText: 'Fine with me' });
  await answer.waitFor();
  expect(await answer.locator('.mention[data-own="true"]').textContent()).toBe('@mira');
  const quote = answer.locator('.quote');
  expect(await quote.textContent()).toBe('YouThursday at eleven');
  await quote.press('Enter');
  const linked = mira.page.locator('.bubble-row[data-linked="true"]');
  await eventually(() => linked.locator('.bubble-text').textContent()).toBe('Thursday at eleven');
  await eventually(() => isInSight(mira, linked)).toBe(true);
  // Neither what came last nor what comes next takes the reader away.
  await server.post('chat:lobby', 'Nora', ['and one more']);
  await mira.page.getByRole('button', { name: /new message/ }).waitFor();
  expect(await isInSight(mira, linked)).toBe(true);
  await mira.page.getByRole('button', { name: /new message/ }).click();
  await mira.row('and one more').waitFor();
});

test('deleted, after a question, it is a place without a word in both windows, and in what quoted it', async () => {
  await mira.say('not meant for here');
  await jonas.row('not meant for here').waitFor();
  await openMenu(mira, 'not meant for here');
  await mira.page.getByRole('button', { name: 'Delete…' }).press('Enter');
  const question = mira.page.getByRole('dialog', { name: 'Delete this message?' });
  await question.waitFor();
  expect(await seriousFindings(mira.page)).toEqual([]);
  await mira.page.keyboard.press('Escape');
  await eventually(() => focused(mira)).toBe('more'); // no harm done
  expect(await mira.row('not meant for here').count()).toBe(1);
  await openMenu(mira, 'not meant for here');
  await mira.page.getByRole('button', { name: 'Delete…' }).press('Enter');
  await question.waitFor();
  await mira.page.keyboard.press('Enter');
  await jonas.page.locator('.bubble-gone', { hasText: 'This message was deleted.' }).waitFor();
  await mira.page.locator('.bubble-gone', { hasText: 'You deleted this message.' }).waitFor();
  for (const chat of [mira, jonas]) expect(await chat.row('not meant for here').count()).toBe(0);
  await eventually(() => mira.composer.evaluate(box => box === document.activeElement)).toBe(true);
  expect(JSON.stringify(await server.log('chat:lobby'))).not.toContain('not meant for here');
});

test('a message is found in the room and in one’s own rooms, and is where the result leads', async () => {
  await server.post('chat:travel', 'Nora', ['the red fox', 'and no other animal']);
  await jonas.page.getByRole('button', { name: 'Search' }).press('Enter');
  const field = jonas.page.getByLabel('Search for');
  await eventually(() => field.evaluate(box => box === document.activeElement)).toBe(true);
  await field.fill('red fo');
  await eventually(() => jonas.page.locator('.search-words').textContent()).toBe('Nothing found.');
  await jonas.page.getByRole('radio', { name: 'All my rooms' }).check({ force: true });
  const result = jonas.page.locator('.result');
  await eventually(() => result.locator('mark').allTextContents()).toEqual(['red', 'fo']);
  expect(await seriousFindings(jonas.page)).toEqual([]);
  await result.press('Enter');
  await jonas.page.getByRole('heading', { level: 1, name: 'travel' }).waitFor();
  await jonas.page.locator('.bubble-row[data-linked="true"]').getByText('the red fox').waitFor();
});

test('37: no page complained', () => {
  expect([...mira.complaints, ...jonas.complaints]).toEqual([]);
});
