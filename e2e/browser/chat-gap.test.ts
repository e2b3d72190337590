import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { expectShown, openChat } from './chat.ts';
import { launch, leave } from './chromium.ts';
import { eventually } from './home.ts';
import { note } from './noted.ts';
import { FaultProxy } from './proxy.ts';
import { Server } from './server.ts';

// More was missed than there is to catch up with. Numbers are those of the table in README.md.

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `number ${from + i}`);

let browser: Browser;
let server: Server;
let proxy: FaultProxy;

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());

beforeEach(async () => {
  server = await Server.start(async data => {
    const config = join(data, 'roomlog.yaml');
    // The kind `brief` keeps the newest 20 events of a room.
    const kinds = '{chat: {}, brief: {retention: {events: 20}}}';
    await writeFile(config, `retention-every: 100ms\nkinds: ${kinds}\n`);
    return ['--config', config];
  });
  proxy = await FaultProxy.start(server.url);
});
afterEach(async () => {
  await leave(browser);
  await proxy?.stop();
  await server?.stop();
});

/** The processes that render the pages of a browser, to be stopped as a busy or throttled tab is. */
async function renderersOf(browser: Browser): Promise<number[]> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
}

test('40: a tab that stands still slows nobody, and is told that it was behind', async ({
  onTestFinished,
}) => {
  const her = await launch(); // what renders a page is known where there is one alone
  onTestFinished(() => her.close());
  const mira = await (await openChat(her, proxy.url)).ready();
  const jonas = await (await openChat(browser, server.url, { as: 'Jonas' })).ready();
  await jonas.say('hello');
  await mira.row('hello').waitFor();
  const told = await note(mira);
  const renderers = await renderersOf(her);
  expect(renderers).not.toEqual([]);
  for (const pid of renderers) process.kill(pid, 'SIGSTOP');
  try {
    await proxy.fault({ kind: 'blackhole', class: '/v1/ws', direction: 'down' }); // the buffers of the way are full
    await server.post('chat:lobby', 'Nora', numbered(1, 620));
    await jonas.row('number 620').waitFor();
    await jonas.say('still quick');
    await eventually(jonas.delivery('still quick')).toBe('sent');
    await proxy.cut('/v1/ws'); // what the server does with whoever makes no progress
    await proxy.heal();
  } finally {
    for (const pid of renderers) process.kill(pid, 'SIGCONT');
  }
  await mira.banner.getByText('You were far behind.').waitFor();
  await eventually(async () => (await told()).said).toContainEqual(
    expect.stringMatching(/^You were far behind\./),
  );
  await mira.row('still quick').waitFor();
  await eventually(mira.fromEnd).toBe(0);
  // Nothing is lost: what is not here comes while scrolling up.
  await eventually(async () => {
    await mira.log.evaluate(box => box.scrollTo(0, 0));
    return (await mira.texts())[0];
  }).toBe('hello');
  await mira.page.getByText('The room begins here.').waitFor();
  await mira.banner.getByRole('button', { name: 'Close' }).click();
  await eventually(() => mira.banner.count()).toBe(0);
});

test('18: what is beyond retention is said to be, whoever comes late, comes back, or follows a link', async () => {
  const room = 'brief:news';
  const here = await (await openChat(browser, proxy.url, { room })).ready();
  await eventually(async () => (await server.log(room)).length).toBe(1); // Mira is a member
  await server.post(room, 'Jonas', numbered(1, 10));
  await expectShown(here, numbered(1, 10));
  await proxy.fault({ kind: 'refuse' });
  await proxy.cut('');
  await here.page.locator('.signal[data-state="reconnecting"]').waitFor();
  await server.post(room, 'Jonas', numbered(11, 50));
  await eventually(() => server.floor(room)).toBe(32);
  await proxy.heal();
  // Back: the place where it was is no more.
  await here.retryNow();
  await here.banner.getByText('Part of what you missed is no longer kept.').waitFor();
  // From the first that was missed on, as far as there is room for them.
  await eventually(async () => (await here.texts())[0]).toBe('number 31');
  await here.page.getByText(/^History before .+ is no longer kept\.$/).waitFor();
  await here.say('after it');
  await eventually(here.delivery('after it')).toBe('sent');
  await expectShown(here, [...numbered(46, 50), 'after it']);
  // Late.
  const late = await (await openChat(browser, server.url, { room, as: 'Jonas' })).ready();
  await late.row('after it').waitFor();
  await late.page.getByText(/^History before .+ is no longer kept\.$/).waitFor();
  expect(await late.page.getByText('The room begins here.').count()).toBe(0);
  // By a link.
  const linked = await (await openChat(browser, server.url, { room, as: 'Jonas', seq: 3 })).ready();
  await linked.page.getByText('The linked message is no longer kept').waitFor();
  await linked.page.getByRole('button', { name: 'To the latest' }).click();
  await linked.row('after it').waitFor();
  for (const chat of [late, linked]) expect(chat.complaints).toEqual([]);
});
