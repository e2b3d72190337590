import { setTimeout as pause } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { seriousFindings } from './access.ts';
import { type Chat, openChat } from './chat.ts';
import { launch, leave } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// The demo of messages that stream, as both windows show it: a page is the producer of a scripted answer (PART-1 to PART-9).

const first = 'This is a demo:';
const opening = first.split(' ').length;
const last = 'nothing twice, nothing left out. 🙂';

let server: Server;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
});
afterEach(async () => {
  await leave(browser);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const answer = (chat: Chat) => chat.rows.filter({ hasText: first });
const textOf = async (chat: Chat) =>
  (await answer(chat).last().locator('.bubble-text').textContent())?.replace(/is writing…$/, '') ?? '';
const grows = (chat: Chat) => answer(chat).last().getAttribute('data-grows');

/** Notes every text that the last answer is shown with, and every sentence that is read aloud. */
async function record(chat: Chat) {
  const noted = await chat.page.evaluateHandle(() => {
    const texts: string[] = [];
    const said: string[] = [];
    const note = (to: string[], text: string | null | undefined) =>
      text && text !== to.at(-1) && to.push(text);
    new MutationObserver(() => {
      const row = [...document.querySelectorAll('.bubble-row[data-grows]')].findLast(row =>
        row.querySelector('.bubble-text')?.textContent?.startsWith('This is a demo:'),
      );
      note(texts, row?.querySelector('.bubble-text')?.firstChild?.textContent);
      note(said, document.querySelector('[role=status]')?.textContent);
    }).observe(document.body, { characterData: true, childList: true, subtree: true });
    return { texts, said };
  });
  return () => noted.jsonValue();
}

async function two(room: string): Promise<[Chat, Chat]> {
  const mira = await (await openChat(browser, server.url, { room })).ready();
  const jonas = await openChat(browser, server.url, {
    room,
    as: 'Jonas',
    colorScheme: 'dark',
    viewport: { width: 390, height: 844 },
  });
  return [mira, await jonas.ready()];
}

/**
 * Lets the page say so many words of its answer, and from then on nothing, until it is let go on: it keeps its lease meanwhile.
 * @param shown how many texts were seen of it since it had its first words: each further word waits until the one before it was, however
 *   slow the page is
 */
async function holdAfter(
  words: number,
  { context }: Chat,
  shown?: () => Promise<number>,
): Promise<() => Promise<void>> {
  const parts = '**/streams/*';
  let said = 0;
  await context.route(parts, async route => {
    const part = route.request().postDataJSON() as { offset: number; text: string } | null; // to stop has none
    if (!part?.text) return route.continue();
    const goesOn = said < words && (!shown || (await shown()) > said - opening);
    if (goesOn) said++;
    return route.continue(goesOn ? {} : { postData: JSON.stringify({ ...part, text: '' }) });
  });
  return () => context.unroute(parts);
}

/** Renews the lease of an answer until its page is back and it goes on: on a slow machine a reload may take longer than a lease lasts. */
async function keepUntilItGoesOn(room: string, back: Promise<void>): Promise<void> {
  const { seq } = (await server.log(room)).find(e => e.type === 'message' && e.author === 'Demo') ?? {};
  const headers = {
    Authorization: `Bearer ${await server.token('Demo')}`,
    'Content-Type': 'application/json',
  };
  const body = JSON.stringify({ offset: 0, text: '' });
  const renew = () =>
    fetch(`${server.url}/v1/rooms/${room}/streams/${seq}`, { method: 'POST', headers, body });
  let isBack = false;
  const noteBack = () => {
    isBack = true;
  };
  void back.then(noteBack, noteBack);
  let from: number | undefined;
  for (let answer = await renew(); answer.ok; answer = await renew()) {
    const { offset } = (await answer.json()) as { offset: number };
    if (from !== undefined && offset > from) return;
    if (isBack) from ??= offset;
    await pause(500); // between two requests
  }
}

/** What the store has of it in the end. */
async function stored(room: string) {
  const edits = (await server.log(room)).filter(({ type, author }) => type === 'edit' && author === 'Demo');
  expect(edits.length).toBe(1);
  return (edits[0]?.data as { data?: { text?: string; streaming?: boolean; aborted?: boolean } } | undefined)
    ?.data;
}

test('PART-9: an answer grows in both windows, through a reload, is whole once, and is read aloud when it has ended', async () => {
  const room = 'chat:answer';
  const [mira, jonas] = await two(room);
  const noted = await record(mira);
  const goOn = await holdAfter(20, mira, async () => (await noted()).texts.length);
  await mira.composer.fill('/');
  await mira.page.getByText('a scripted demo answers, word by word').waitFor();
  await mira.say('/ask Why?');
  await mira.row('Why?').first().waitFor(); // the answer quotes it
  for (const chat of [mira, jonas]) await eventually(() => grows(chat)).toBe('true');
  expect(await mira.page.locator('.divider-new').count()).toBe(0); // it was empty, and nothing is missed
  await eventually(async () => (await textOf(jonas)).length).toBeGreaterThan(60);
  await jonas.page.reload();
  await jonas.ready();
  await eventually(async () => (await textOf(jonas)).length).toBeGreaterThan(60);
  expect(await grows(jonas)).toBe('true');
  await goOn();
  for (const chat of [mira, jonas]) {
    await eventually(() => grows(chat)).toBe('false');
    const text = await textOf(chat);
    expect(text.endsWith(last)).toBe(true);
    expect(text).toBe((await stored(room))?.text);
    expect(text.split(first).length).toBe(2);
    expect(await answer(chat).textContent()).not.toContain('(edited)');
    await eventually(chat.fromEnd).toBe(0); // as it got line after line higher
  }
  await eventually(async () => (await noted()).said).toContain(`Demo: ${await textOf(mira)}`);
  const { texts, said } = await noted();
  expect(texts.length).toBeGreaterThan(10);
  for (const [i, text] of texts.entries()) expect(text.startsWith(texts[i - 1] ?? '')).toBe(true);
  expect(said.filter(words => words.includes(first)).length).toBe(1);
  for (const chat of [mira, jonas]) expect(chat.complaints).toEqual([]);
});

test('PART-2: the page that gives it may be reloaded, and goes on behind what is there', async () => {
  const room = 'chat:goes-on';
  const [mira, jonas] = await two(room);
  const noted = await record(jonas);
  const goOn = await holdAfter(20, mira);
  await mira.say('/ask And then?');
  await eventually(async () => (await textOf(jonas)).length).toBeGreaterThan(60);
  const back = mira.page.reload().then(goOn);
  await Promise.all([back, keepUntilItGoesOn(room, back)]);
  await mira.ready();
  for (const chat of [mira, jonas]) {
    await eventually(() => grows(chat)).toBe('false');
    expect((await textOf(chat)).endsWith(last)).toBe(true);
  }
  expect((await stored(room))?.aborted).toBe(undefined);
  const { texts } = await noted();
  for (const [i, text] of texts.entries()) expect(text.startsWith(texts[i - 1] ?? '')).toBe(true);
});

test('PART-5: by the keyboard alone it is asked for and stopped, and says so', async () => {
  const room = 'chat:stopped';
  const [mira, jonas] = await two(room);
  await holdAfter(20, mira);
  await mira.composer.focus();
  await mira.page.keyboard.press('Tab');
  await mira.page.keyboard.press('Enter');
  await jonas.row('How does an answer stream?').first().waitFor();
  await eventually(async () => (await textOf(jonas)).length).toBeGreaterThan(30);
  for (const chat of [mira, jonas]) expect(await seriousFindings(chat.page)).toEqual([]);
  await mira.page.getByRole('button', { name: 'Stop the answer' }).press('Enter');
  for (const chat of [mira, jonas]) {
    await eventually(() => answer(chat).textContent()).toContain('stopped');
    expect(await grows(chat)).toBe('false');
  }
  await mira.page.getByRole('button', { name: 'Ask the demo' }).waitFor();
  const text = await textOf(jonas);
  expect(text.endsWith(last)).toBe(false);
  expect(await stored(room)).toMatchObject({ text, aborted: true });
});
