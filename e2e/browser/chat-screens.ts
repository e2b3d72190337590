// Takes a picture of every state of the pages, light and dark, wide and narrow, to be looked at: not a test, but run
// like one for its tools. They are written to test-results/chat, and are not kept.
import { writeFile } from 'node:fs/promises';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, test } from 'vitest';
import { type Chat, openChat } from './chat.ts';
import { launch } from './chromium.ts';
import { eventually } from './home.ts';
import { type Camera, camera } from './pictures.ts';
import { FaultProxy } from './proxy.ts';
import { Server } from './server.ts';

let server: Server;
let proxy: FaultProxy;
let browser: Browser;
let picture: Camera;

beforeAll(async () => {
  [picture, browser] = await Promise.all([camera('chat'), launch()]);
});
afterAll(() => browser?.close());

beforeEach(async () => {
  server = await Server.start();
  proxy = await FaultProxy.start(server.url);
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await proxy?.stop();
  await server?.stop();
});

/** A kind of rooms that keeps little. */
const kinds = 'retention-every: 100ms\nkinds: {chat: {}, brief: {retention: {events: 6}}}\n';

/** How many rooms the browser keeps. */
const keptRooms = (chat: Chat) =>
  chat.page.evaluate(
    () =>
      new Promise<number>(done => {
        const opened = indexedDB.open('roomlog');
        opened.onsuccess = () => {
          const count = opened.result.transaction('windows').objectStore('windows').count();
          count.onsuccess = () => {
            opened.result.close();
            done(count.result);
          };
        };
      }),
  );

const options = { locale: 'en-GB', reducedMotion: 'reduce' } as const;

async function talk(room: string): Promise<void> {
  await server.post(room, 'Jonas', ['Morning. Desk, coffee, rain.', 'Did you see the plan for Thursday?']);
  await server.post(room, 'Mira', ['Reading it now.', 'Point 3 should come first, I think.']);
  await server.post(room, 'Jonas', [
    'Agreed. I will move it.',
    'Two things are still open: who tells the others, and whether the small room is free in the afternoon. If it is not, we can take the one on the third floor, which has a screen as well.',
  ]);
  await server.post(room, 'Nora', ['The small room is free from two.']);
  await server.post(room, 'Mira', ['Perfect, then it is settled.']);
}

test('a conversation, with news elsewhere', async () => {
  await talk('chat:lobby');
  const chat = await (await openChat(browser, server.url, options)).ready();
  await eventually(chat.texts).toContain('Perfect, then it is settled.');
  await server.post('chat:design', 'Jonas', ['New icons are up.', 'Have a look?']);
  await eventually(() => chat.badge('design')).toBe('2');
  await chat.composer.fill('Half a sentence');
  await picture(chat, 'conversation');
  await picture(chat, 'drawer', async () => {
    const isWide = (chat.page.viewportSize()?.width ?? 0) > 832;
    if (isWide || (await chat.page.locator('dialog[open]').count()) > 0) return;
    await chat.page.getByRole('button', { name: 'Rooms' }).click();
  });
});

test('empty, refused, loading, out of reach', async () => {
  const chat = await (await openChat(browser, proxy.url, { ...options, room: 'chat:quiet' })).ready();
  await chat.page.locator('.standin').waitFor();
  await picture(chat, 'empty');
  await chat.page.goto(`${server.url}/chat?room=chat:${encodeURIComponent('no such room!')}`);
  await chat.page.getByText('This room cannot be opened').waitFor();
  await picture(chat, 'refused');
  const held = await openChat(browser, server.url, options);
  await held.context.route('**/v1/**', () => {}); // never answered
  await held.page.goto(`${server.url}/chat?room=chat:never-seen`);
  await held.page.locator('.loading').waitFor();
  await picture(held, 'loading');
  await held.page.getByText('Not on this device yet').waitFor();
  await picture(held, 'unreached');
});

test('what cannot be said otherwise', async () => {
  await talk('chat:lobby');
  await server.post('chat:lobby', 'Jonas', [
    '<script>alert(1)</script><b>bold</b>',
    'مرحبا، كيف الحال؟ هل وصلت الرسالة؟',
    '👩‍👩‍👧‍👦🏳️‍🌈 🎉',
    `https://example.org/${'long-path-'.repeat(30)}`,
  ]);
  const chat = await (await openChat(browser, server.url, options)).ready();
  await chat.say('x'.repeat(70_000));
  await eventually(() => chat.page.locator('.bubble-row[data-delivery="failed"]').count()).toBe(1);
  await chat.page.locator('.failure').waitFor();
  await picture(chat, 'failed', () => chat.log.evaluate(box => box.scrollTo(0, box.scrollHeight)));
  await chat.page.getByRole('button', { name: 'Discard' }).click();
  await picture(chat, 'texts');
});

test('lost, and found again', async () => {
  await talk('chat:lobby');
  const chat = await (await openChat(browser, proxy.url, options)).ready();
  await chat.say('Here comes the tunnel.');
  await eventually(chat.delivery('Here comes the tunnel.')).toBe('sent');
  await proxy.fault({ kind: 'refuse' });
  await proxy.cut('');
  await chat.say('It is dark in here.');
  await chat.say('These leave in this order.');
  const countdown = chat.banner.getByText(/retrying in \d+ s/);
  await countdown.waitFor();
  await picture(chat, 'reconnecting', () => countdown.waitFor());
  await server.post(
    'chat:lobby',
    'Jonas',
    Array.from({ length: 5 }, (_, i) => `While you were away, part ${i + 1}.`),
  );
  await proxy.heal();
  await chat.page.getByRole('button', { name: 'Retry now' }).click();
  await chat.page.getByText('Caught up: 5 new messages').first().waitFor();
  await picture(chat, 'caught-up');
  await picture(chat, 'divider', () =>
    chat.page
      .locator('.divider-new')
      .evaluate(line => line.scrollIntoView({ block: 'center' }))
      .catch(() => {}),
  );
  await chat.context.setOffline(true);
  for (const text of ['One for later.', 'And another.', 'And a third.']) await chat.say(text);
  await chat.page.getByText('3 messages will be sent later').first().waitFor();
  await picture(chat, 'offline');
});

test('far back', async () => {
  await server.post(
    'chat:lobby',
    'Jonas',
    Array.from(
      { length: 320 },
      (_, i) =>
        `Number ${i + 1}${i % 7 === 0 ? ', which is a little longer than the others are, so that it wraps' : ''}`,
    ),
  );
  const chat = await openChat(browser, server.url, { ...options, seq: 120 });
  await chat.row('Number 120, which is a little longer than the others are, so that it wraps').waitFor();
  await picture(chat, 'linked');
});

test('scrolled up, with news below', async () => {
  await server.post(
    'chat:lobby',
    'Jonas',
    Array.from({ length: 40 }, (_, i) => `Number ${i + 1} of a long thread.`),
  );
  const chat = await (await openChat(browser, server.url, options)).ready();
  await chat.row('Number 40 of a long thread.').waitFor();
  await eventually(chat.fromEnd).toBe(0);
  await picture(chat, 'long');
  await chat.log.evaluate(box => box.scrollTo(0, 400));
  await chat.page.getByRole('button', { name: 'To the latest' }).waitFor();
  await server.post('chat:lobby', 'Jonas', ['One more.', 'And another.', 'And a third.']);
  await chat.page.getByRole('button', { name: '3 new messages' }).waitFor();
  await picture(chat, 'below', () => chat.log.evaluate(box => box.scrollTo(0, 400)));
});

test('a room of which not all is kept, a link to what is gone, and too far behind', async () => {
  const brief = await Server.start(async data => {
    await writeFile(`${data}/roomlog.yaml`, kinds);
    return ['--config', `${data}/roomlog.yaml`];
  });
  const way = await FaultProxy.start(brief.url);
  const room = 'brief:news';
  const chat = await (await openChat(browser, way.url, { ...options, room })).ready();
  await brief.post(
    room,
    'Jonas',
    Array.from({ length: 30 }, (_, i) => `Number ${i + 1}.`),
  );
  await eventually(() => brief.floor(room)).toBe(25);
  const late = await (await openChat(browser, brief.url, { ...options, room, as: 'Jonas' })).ready();
  await late.row('Number 30.').waitFor();
  await late.page.getByText(/^History before/).waitFor();
  await picture(late, 'not-kept');
  await way.fault({ kind: 'refuse' });
  await way.cut('');
  await chat.page.locator('.signal[data-state="reconnecting"]').waitFor();
  await brief.post(
    room,
    'Jonas',
    Array.from({ length: 9 }, (_, i) => `Later, number ${i + 1}.`),
  );
  await eventually(() => brief.floor(room)).toBeGreaterThan(31);
  await way.heal();
  await chat.banner.getByText('Part of what you missed').waitFor();
  await chat.row('Later, number 9.').waitFor();
  await picture(chat, 'reset');
  const linked = await (await openChat(browser, brief.url, { ...options, room, seq: 3 })).ready();
  await linked.page.getByText('The linked message is no longer kept').waitFor();
  await picture(linked, 'link-gone');
  await way.stop();
  await brief.stop();
});

test('stopped, and a token that is refused', async () => {
  await talk('chat:lobby');
  const chat = await (await openChat(browser, server.url, options)).ready();
  await chat.row('Perfect, then it is settled.').waitFor();
  await eventually(() => keptRooms(chat)).toBeGreaterThan(0);
  await chat.context.route('**/v1/dev/token**', route =>
    route.fulfill({ status: 403, json: { title: 'This user may not come in any more.' } }),
  );
  await chat.page.reload();
  await chat.banner.getByText('Stopped.').waitFor();
  await chat.row('Perfect, then it is settled.').waitFor();
  await picture(chat, 'stopped');
});

test('another account, a room that was taken away, and a link that cannot be followed', async () => {
  await talk('chat:lobby');
  const chat = await (await openChat(browser, server.url, options)).ready();
  await chat.row('Perfect, then it is settled.').waitFor();
  await chat.page.getByRole('radio', { name: 'Jonas' }).check({ force: true });
  await chat.ready();
  await chat.row('Perfect, then it is settled.').waitFor();
  await picture(chat, 'another-account');
  await server.ban('chat:lobby', 'Jonas');
  await chat.page.getByText('You cannot write here').waitFor();
  await picture(chat, 'taken-away');
  await server.post(
    'chat:lobby',
    'Nora',
    Array.from({ length: 120 }, (_, i) => `Number ${i + 1}.`),
  );
  const linked = await (await openChat(browser, server.url, options)).ready();
  await linked.row('Number 120.').waitFor();
  await linked.context.route('**/events?*', route => route.abort());
  await linked.page.evaluate(() => {
    location.hash = '#2';
  });
  await linked.page.getByText('The linked message cannot be loaded').waitFor();
  await picture(linked, 'link-broken');
});

test('the page of the error codes, and Home', async () => {
  const chat = await openChat(browser, server.url, options);
  await chat.page.goto(`${server.url}/errors#message_too_large`);
  await picture(chat, 'errors');
  await chat.page.goto(`${server.url}/errors`);
  await picture(chat, 'errors-top');
  await chat.page.goto(server.url);
  await chat.page.locator('.row[data-seq="4"]').first().waitFor();
  await picture(chat, 'home');
  await chat.page.getByRole('switch').first().click();
  await chat.page.getByRole('region', { name: 'Mira', exact: true }).getByRole('textbox').fill('It is dark.');
  await chat.page.keyboard.press('Enter');
  await chat.page.getByRole('button', { name: 'Retry now' }).waitFor();
  await picture(chat, 'home-tunnel');
});

test('people and what they do with messages', async () => {
  const room = 'chat:lobby';
  const first = await server.append(room, 'Jonas', 'message', {
    text: 'Shall we meet on Thursday, @Mira?',
    mentions: ['Mira'],
  });
  await server.append(room, 'Mira', 'message', { text: 'Yes, at ten.', reply_to: first });
  const gone = await server.append(room, 'Jonas', 'message', { text: 'Or Friday.' });
  await server.append(room, 'Jonas', 'delete', { target: gone });
  const edited = await server.append(room, 'Jonas', 'message', {
    text: 'Ten is good. I wil bring the plan.',
  });
  await server.append(room, 'Jonas', 'edit', {
    target: edited,
    data: { text: 'Ten is good. I will bring the plan.' },
  });
  for (const [who, emoji] of [
    ['Mira', '👍'],
    ['Nora', '👍'],
    ['Nora', '🎉'],
    ['Ahmed', '❤️'],
  ] as const)
    await server.append(room, who, 'reaction', { target: edited, emoji });
  const many = await server.append(
    room,
    'Maximiliane-Alexandra-von-und-zu-Hohenstein-Langenburg',
    'message',
    {
      text: 'متى نلتقي؟ @Mira',
      mentions: ['Mira'],
    },
  );
  for (const emoji of [
    '😀',
    '😁',
    '😂',
    '🤣',
    '😅',
    '😊',
    '😍',
    '😎',
    '🤔',
    '😴',
    '🥳',
    '🤯',
    '👏',
    '🙌',
    '🔥',
    '💯',
    'well done, all of you',
  ])
    await server.append(room, 'Nora', 'reaction', { target: many, emoji });
  const jonas = await (await openChat(browser, server.url, { ...options, as: 'Jonas' })).ready();
  const chat = await (await openChat(browser, server.url, options)).ready();
  await chat.say('Then it is settled: Thursday at ten, third floor.');
  await eventually(() => chat.page.locator('.tick[data-tick="read"]').count()).toBeGreaterThan(0);
  const typing = () => jonas.composer.pressSequentially('a', { delay: 20 });
  await picture(chat, 'people', async () => {
    await typing();
    await chat.page.getByText('Jonas is typing…').waitFor();
  });
  const more = chat.row('Ten is good. I will bring the plan.').locator('.more');
  await picture(chat, 'menu', async () => {
    await chat.page.keyboard.press('Escape');
    await chat.row('Then it is settled: Thursday at ten, third floor.').locator('.more').focus();
    await chat.page.keyboard.press('Enter');
  });
  await chat.page.keyboard.press('Escape');
  await more.focus();
  await chat.page.keyboard.press('Enter');
  await chat.page.getByRole('button', { name: 'Reply', exact: true }).click();
  await chat.page.locator('.tick[data-tick="read"]').last().focus();
  await picture(chat, 'reply');
  await chat.page.keyboard.press('Escape');
  await picture(chat, 'people-sheet', async () => {
    if ((chat.page.viewportSize()?.width ?? 0) > 1120) return;
    if ((await chat.page.locator('dialog[open]').count()) > 0) return;
    await chat.page.locator('.people-button').click();
  });
  await chat.page.keyboard.press('Escape');
  await chat.page.getByRole('button', { name: 'Search' }).click();
  await chat.page.getByLabel('Search for').fill('ten');
  await chat.page.locator('.result').first().waitFor();
  await picture(chat, 'search');
  await chat.page.keyboard.press('Escape');
  await chat.composer.fill('');
  await chat.composer.press('Escape');
  await chat.composer.press('ArrowUp');
  await chat.page.keyboard.press('Tab');
  await picture(chat, 'edit');
});

test('an answer that grows, and one that was stopped', async () => {
  const chat = await (await openChat(browser, server.url, options)).ready();
  await chat.composer.fill('/ask How does this work?');
  await chat.page.getByText('a scripted demo answers').waitFor();
  await picture(chat, 'ask');
  await chat.composer.press('Enter');
  await chat.log.getByText('and every question').waitFor();
  await picture(chat, 'grows');
  await chat.page.getByRole('button', { name: 'Stop the answer' }).click();
  await chat.log.getByText('stopped').waitFor();
  await picture(chat, 'stopped-answer');
});
