import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { launch, openContext } from './chromium.ts';
import { room, say, servePage, shown, start, token, transport } from './client-page.ts';
import { eventually } from './home.ts';
import { areKept, isKept } from './kept.ts';
import { FaultProxy, holdingProxy } from './proxy.ts';
import { Server } from './server.ts';

// The client in a real browser, with its IndexedDB, its Web Locks and its streams. The page is served by the test, so that it
// can be reloaded while the server is away.

let server: Server;
const proxies: { stop(): unknown }[] = [];
let browser: Browser;
let context: BrowserContext;

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());

beforeEach(async () => {
  server = await Server.start();
  context = await openContext(browser);
  await servePage(context);
});
afterEach(async () => {
  await context?.close();
  for (const proxy of proxies.splice(0)) await proxy.stop();
  await server?.stop();
});

async function tab(user: string, token: string, url = server.url): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${url}/kept`);
  await start(page, user, token);
  return page;
}

/** How many pages of the browser hold something unsent. */
const holders = (page: Page) => () =>
  page.evaluate(async () => {
    const { held = [] } = await navigator.locks.query();
    return held.filter(({ name }) => name?.startsWith('roomlog:sends:')).length;
  });

const stored = async () => (await server.log(room)).map(event => event.data.text);

test('a reload while the server is away: the room and the queue are there at once, then it goes on', async () => {
  const ann = await token(server, 'ann');
  const page = await tab('ann', ann);
  await say(page, 'one');
  await eventually(shown(page)).toEqual(['one sent']);
  await areKept(page, 1); // a message is shown as sent by its ack, perhaps before the page that has its event
  await page.reload();
  await start(page, 'ann', ann);
  await eventually(shown(page)).toEqual(['one sent']);
  await server.kill();
  for (const text of ['two', 'three', 'four']) await say(page, text);
  await eventually(shown(page)).toEqual(['one sent', 'two queued', 'three queued', 'four queued']);
  await isKept(page, 'sends', 3);
  await page.reload();
  await start(page, 'ann', ann);
  await eventually(shown(page)).toEqual(['one sent', 'two queued', 'three queued', 'four queued']);
  await server.restart();
  await eventually(shown(page)).toEqual(['one sent', 'two sent', 'three sent', 'four sent']);
  expect(await stored()).toEqual(['one', 'two', 'three', 'four']);
});

test('a tab that is closed while its message waits: another tab sends it, once', async () => {
  const ann = await token(server, 'ann');
  const staying = await tab('ann', ann);
  const leaving = await tab('ann', ann);
  await eventually(() => leaving.evaluate(() => window.client.status.get().state)).toBe('connected');
  await server.kill();
  await say(leaving, 'left behind');
  await say(staying, 'mine');
  await eventually(shown(leaving)).toEqual(['left behind queued']);
  await eventually(holders(leaving)).toBe(2);
  await isKept(leaving, 'sends', 2);
  await leaving.close();
  await eventually(shown(staying)).toEqual(['mine queued']);
  await server.restart();
  await eventually(async () => (await stored()).sort()).toEqual(['left behind', 'mine']);
  await eventually(holders(staying)).toBe(0);
});

test('what one user wrote is not sent by another, and waits for its author', async () => {
  const [ann, bob] = await Promise.all([token(server, 'ann'), token(server, 'bob')]);
  const page = await tab('ann', ann);
  await eventually(() => page.evaluate(() => window.client.status.get().state)).toBe('connected');
  await server.kill();
  await say(page, 'by Ann');
  await eventually(shown(page)).toEqual(['by Ann queued']);
  await isKept(page, 'sends', 1);
  await page.reload();
  await server.restart();
  await start(page, 'bob', bob);
  await say(page, 'by Bob');
  await eventually(shown(page)).toEqual(['by Bob sent']);
  await page.reload();
  await start(page, 'ann', ann);
  await eventually(shown(page)).toEqual(['by Bob sent', 'by Ann sent']);
  expect((await server.log(room)).map(({ author, data }) => [author, data.text])).toEqual([
    ['bob', 'by Bob'],
    ['ann', 'by Ann'],
  ]);
});

test('a browser whose upgrades are blocked is served by a stream, and goes on through cuts', async () => {
  const proxy = await FaultProxy.start(server.url);
  proxies.push(proxy);
  await proxy.fault({ kind: 'cut-after', class: '/v1/ws', direction: 'down', bytes: 0 });
  const page = await tab('ann', await token(server, 'ann'), proxy.url);
  await eventually(transport(page)).toBe('sse');
  await say(page, 'one');
  await eventually(shown(page)).toEqual(['one sent']);
  await server.post(room, 'bob', ['two']);
  await eventually(shown(page)).toEqual(['one sent', 'two sent']);
  await proxy.cut('');
  await server.post(room, 'bob', ['three']);
  await say(page, 'four');
  await eventually(async () => (await shown(page)()).toSorted()).toEqual([
    'four sent',
    'one sent',
    'three sent',
    'two sent',
  ]);
  expect(await stored()).toHaveLength(4);
});

test('a browser behind a proxy that holds streams back polls', async () => {
  const proxy = await holdingProxy(server.url);
  proxies.push(proxy);
  const page = await tab('ann', await token(server, 'ann'), proxy.url);
  await eventually(transport(page)).toBe('poll');
  await say(page, 'one');
  await server.post(room, 'bob', ['two']);
  await eventually(async () => (await shown(page)()).toSorted()).toEqual(['one sent', 'two sent']);
});
