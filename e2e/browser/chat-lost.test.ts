import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Chat, expectShown, openChat, openTab } from './chat.ts';
import { launch } from './chromium.ts';
import { eventually } from './home.ts';
import { FaultProxy } from './proxy.ts';
import { Server } from './server.ts';

// Mira is behind the fault proxy, Jonas is not. Numbers are those of the table in README.md.

const room = 'chat:lobby';

let browser: Browser;
let server: Server;
let proxy: FaultProxy;
let mira: Chat;
let jonas: Chat;

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());

beforeEach(async () => {
  server = await Server.start();
  proxy = await FaultProxy.start(server.url);
  mira = await (await openChat(browser, proxy.url)).ready();
  jonas = await (await openChat(browser, server.url, { as: 'Jonas' })).ready();
  await jonas.say('hello');
  await mira.row('hello').waitFor();
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  await proxy?.stop();
  await server?.stop();
});

const stored = async () => (await server.messages(room)).map(event => event.data.text);

/** Notes every text of the banner and the words beside the dot from now on; the returned function tells them. */
async function recordWords(chat: Chat): Promise<() => Promise<string[]>> {
  const record = await chat.page.evaluateHandle(() => {
    const said: string[] = [];
    const note = () => {
      const banner = document.querySelector('.banner p')?.textContent;
      if (banner && said.at(-1) !== banner) said.push(banner);
    };
    new MutationObserver(note).observe(document.body, {
      characterData: true,
      childList: true,
      subtree: true,
    });
    return said;
  });
  return () => record.jsonValue();
}

test('7: a cut of a moment is nobody’s business, and loses nothing', async () => {
  const said = await recordWords(mira);
  await proxy.fault({ kind: 'blackhole' });
  await mira.say('into the hole');
  await server.post(room, 'Jonas', ['meanwhile']);
  await new Promise(done => setTimeout(done, 2_000)); // the length of the cut is what is tested
  await proxy.heal();
  await expectShown(mira, ['hello', ...(await settled(['meanwhile', 'into the hole']))]);
  // The same when the connection is seen to end, and no other is let in.
  await proxy.fault({ kind: 'refuse' });
  await proxy.cut('');
  await mira.page.locator('.signal[data-state="reconnecting"]').waitFor();
  await mira.say('while refused');
  await new Promise(done => setTimeout(done, 2_000));
  await proxy.heal();
  await eventually(mira.delivery('while refused')).toBe('sent');
  expect(await said()).toEqual([]);
});

test('8, 10: a longer one has a banner with the true time; then what came is counted and set apart', async () => {
  const said = await recordWords(mira);
  await mira.composer.fill('x'); // the tab is in use
  await proxy.fault({ kind: 'blackhole' });
  await mira.say('in flight');
  await mira.page.getByRole('button', { name: 'Retry now' }).waitFor();
  await eventually(said).toEqual(
    expect.arrayContaining([expect.stringMatching(/^Reconnecting… retrying in [1-9]\d? s$/)]),
  );
  expect(await mira.status.textContent()).toBe('Connection lost. Reconnecting.');
  await server.post(room, 'Jonas', ['one', 'two', 'three']);
  await proxy.heal();
  await mira.page
    .getByRole('button', { name: 'Retry now' })
    .click({ timeout: 2_000 })
    .catch(() => {}); // may have come back by itself
  await mira.banner.getByText('Caught up: 3 new messages').waitFor();
  expect(await mira.status.textContent()).toBe('Caught up: 3 new messages');
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
  const again = await openTab(mira, proxy.url); // before the other goes, or the context would
  await mira.page.close();
  await expectShown(again, ['hello', 'queued one', 'queued two']);
  expect(await again.delivery('queued two')()).toBe('queued');
  await proxy.heal();
  for (const text of ['queued one', 'queued two']) await eventually(again.delivery(text)).toBe('sent');
  expect(await stored()).toEqual(['hello', 'queued one', 'queued two']);
});

test('6: an ack is lost and the message is sent again: one row, one event', async () => {
  await proxy.fault({ kind: 'blackhole', class: '/v1', direction: 'down' });
  await mira.say('stored, not acked');
  await eventually(stored).toEqual(['hello', 'stored, not acked']);
  await jonas.row('stored, not acked').waitFor();
  expect(await mira.delivery('stored, not acked')()).toBe('sending');
  await proxy.heal();
  await proxy.cut('');
  await eventually(mira.delivery('stored, not acked')).toBe('sent');
  expect(await mira.row('stored, not acked').count()).toBe(1);
  expect(await stored()).toEqual(['hello', 'stored, not acked']);
});

test('17: kill -9 with a send under way: no error is shown, and it arrives once', async () => {
  const said = await recordWords(mira);
  await mira.say('before');
  await Promise.all([mira.say('under way'), server.kill()]);
  await server.restart();
  for (const text of ['before', 'under way']) await eventually(mira.delivery(text)).toBe('sent');
  expect(await stored()).toEqual(['hello', 'before', 'under way']);
  await expectShown(jonas, ['hello', 'before', 'under way']);
  expect((await said()).filter(words => !words.startsWith('Reconnecting…'))).toEqual([]);
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
