import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Chat, isInSight, openChat } from './chat.ts';
import { launch, leave } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// A jump leads where it says, and nothing takes the reader back, however new the newest message is. On a slow machine: whatever goes on
// after a message came goes on for longer there.

const room = 'chat:lobby';
const stored = 240;

let server: Server;
let browser: Browser;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  await server.post(
    room,
    'Nora',
    Array.from({ length: stored }, (_, i) => `number ${i + 1}${', and more'.repeat((i * 7) % 31)}`),
  );
});
afterEach(async () => {
  await leave(browser);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

async function slowed(): Promise<Chat> {
  const chat = await (await openChat(browser, server.url)).ready();
  const devtools = await chat.context.newCDPSession(chat.page);
  await devtools.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  await eventually(chat.fromEnd).toBe(0);
  return chat;
}

/** Follows the quote of a message as soon as it is in the document. */
function followQuoteOf(chat: Chat, text: string): Promise<void> {
  return chat.page.evaluate(
    text =>
      new Promise<void>(done => {
        const log = document.querySelector('[role=log]') as HTMLElement;
        const look = () => {
          for (const row of log.querySelectorAll('.bubble-row')) {
            if (row.querySelector('.bubble-text')?.textContent !== text) continue;
            watching.disconnect();
            row.querySelector<HTMLElement>('.quote')?.click();
            done();
            return;
          }
        };
        const watching = new MutationObserver(look);
        watching.observe(log, { subtree: true, childList: true, characterData: true });
        look(); // it may have come already
      }),
    text,
  );
}

/** Whether the message with this seq is linked to and in sight. */
const shows = (chat: Chat, seq: number) =>
  isInSight(chat, chat.page.locator(`.bubble-row[data-linked="true"][data-seq="${seq}"]`));

for (const [where, target] of [
  ['among the newest', stored - 40],
  ['far back', 20],
] as const)
  test(`22: a quote that is followed as soon as it came leads to its message, ${where}, and the reader stays there`, async () => {
    const chat = await slowed();
    const seq =
      (await server.messages(room)).find(({ data }) => data.text?.split(',')[0] === `number ${target}`)
        ?.seq ?? 0;
    for (let round = 1; round <= 6; round++) {
      const text = `${where}: answer ${round}`;
      const followed = followQuoteOf(chat, text);
      await server.append(room, 'Jonas', 'message', { text, reply_to: seq });
      await followed;
      await eventually(() => shows(chat, seq)).toBe(true);
      await server.post(room, 'Jonas', [`${where}: later ${round}`]);
      await chat.page.getByRole('button', { name: /^\d new message/ }).waitFor();
      expect(await shows(chat, seq)).toBe(true);
      await chat.page.getByRole('button', { name: /^\d new message/ }).click();
      await chat.row(`${where}: later ${round}`).waitFor();
      await eventually(chat.fromEnd).toBe(0);
    }
    expect(chat.complaints).toEqual([]);
  });

test('22: a link is followed within the page, which goes on for whom it was opened', async () => {
  const chat = await (await openChat(browser, server.url, { as: 'Jonas' })).ready();
  const [last] = (await server.messages(room)).slice(-1);
  await server.append(room, 'Nora', 'message', { text: 'an answer to all', reply_to: last?.seq ?? 0 });
  await chat.page.evaluate(() => document.body.setAttribute('data-page', 'the first'));
  await chat.row('an answer to all').locator('.quote').click();
  await eventually(() => shows(chat, last?.seq ?? 0)).toBe(true);
  await chat.page
    .getByRole('link', { name: /^Link to this message/ })
    .last()
    .click();
  await chat.page.waitForFunction(seq => location.hash !== `#${seq}`, last?.seq);
  expect(await chat.page.locator('body').getAttribute('data-page')).toBe('the first');
  await chat.say('still me');
  await eventually(async () => (await server.messages(room)).at(-1)?.author).toBe('Jonas');
});
