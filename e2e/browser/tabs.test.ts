import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { launch, openContext } from './chromium.ts';
import { room, servePage, token } from './client-page.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// Tabs of one browser over HTTP/1.1, where it has six connections to a server: one of them holds the stream of all.

const TABS = 8;

let server: Server;
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
  await server?.stop();
});

/** A tab that follows the room of all and one of its own. */
async function tab(n: number, token: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${server.url}/kept`);
  await page.evaluate(
    ([room, own, token]) => {
      window.client = window.roomlog.createClient({ url: '/', token, transports: ['sse'] });
      window.client.room(room).attach();
      window.client.room(own).attach();
    },
    [room, `chat:own${n}`, token] as const,
  );
  return page;
}

const say = (page: Page, room: string, text: string) =>
  page.evaluate(([room, text]) => void window.client.room(room).messages.send({ text }), [
    room,
    text,
  ] as const);

const texts = (page: Page, id = room) =>
  page.evaluate(
    id =>
      window.client
        .room(id)
        .messages.list.get()
        .map(message => message.data.text),
    id,
  );

const gaps = (page: Page) => page.evaluate(room => window.client.room(room).status.get().gaps, room);

/** The streams that the server has, and the rooms of each. */
async function streams(): Promise<string[][]> {
  const headers = { authorization: `Bearer ${await token(server, 'reader')}` };
  const answer = await fetch(`${server.url}/v1/connections`, { headers });
  const { connections } = (await answer.json()) as { connections: { transport: string; rooms: string[] }[] };
  return connections.filter(({ transport }) => transport === 'sse').map(({ rooms }) => rooms.toSorted());
}

const stored = async () => (await server.log(room)).map(event => event.data.text);

test('eight tabs: one stream, every tab has the log and can send, also after the holder is closed', async () => {
  const ann = await token(server, 'ann');
  const pages: Page[] = [];
  pages.push(await tab(1, ann));
  await eventually(streams).toEqual([['chat:own1', room].toSorted()]);
  for (let n = 2; n <= TABS; n++) pages.push(await tab(n, ann));
  const own = pages.map((_, i) => `chat:own${i + 1}`);
  await eventually(streams).toEqual([[room, ...own].toSorted()]);

  const said: string[] = [];
  for (const [i, page] of pages.entries()) {
    said.push(`a${i + 1}`);
    await say(page, room, `a${i + 1}`);
    await eventually(async () => (await stored()).length).toBe(said.length);
  }
  await server.post(room, 'bob', ['from elsewhere']);
  said.push('from elsewhere');
  for (const page of pages) await eventually(() => texts(page)).toEqual(said);
  for (const id of own) await server.post(id, 'bob', [`to ${id}`]);
  for (const [i, page] of pages.entries())
    await eventually(() => texts(page, own[i])).toEqual([`to ${own[i]}`]);

  // The first tab made the election alone, so it holds.
  await pages.shift()?.close();
  own.shift();
  for (const [i, page] of pages.entries()) await say(page, room, `b${i + 2}`);
  await server.post(room, 'bob', ['after it']);
  await eventually(async () => (await stored()).length).toBe(said.length + pages.length + 1);
  const log = await stored();
  for (const page of pages) await eventually(() => texts(page)).toEqual(log);
  await eventually(streams).toEqual([[room, ...own].toSorted()]);
  expect(await Promise.all(pages.map(gaps))).toEqual(pages.map(() => 0));
});

test('a page that is left lets go of the stream; the back button brings it as it was, and it is fresh', async () => {
  const keeping = await launch({ keepsPages: true });
  try {
    await context.close();
    context = await openContext(keeping);
    await servePage(context);
    await context.route('**/elsewhere', route =>
      route.fulfill({ contentType: 'text/html', body: '<!doctype html>Elsewhere' }),
    );
    const ann = await token(server, 'ann');
    const left = await tab(1, ann);
    await eventually(streams).toEqual([['chat:own1', room].toSorted()]);
    const staying = await tab(2, ann);
    await eventually(streams).toEqual([['chat:own1', 'chat:own2', room].toSorted()]);
    await left.evaluate(() => {
      window.addEventListener('pageshow', event => Object.assign(window, { kept: event.persisted }));
    });
    await left.goto(`${server.url}/elsewhere`);
    await eventually(streams).toEqual([['chat:own2', room].toSorted()]);
    await server.post(room, 'bob', ['meanwhile']);
    await eventually(() => texts(staying)).toEqual(['meanwhile']);
    await left.evaluate(() => history.back());
    await eventually(() => left.evaluate(() => (window as { kept?: boolean }).kept)).toBe(true);
    await eventually(() => texts(left)).toEqual(['meanwhile']);
    await eventually(streams).toEqual([['chat:own1', 'chat:own2', room].toSorted()]);
    await server.post('chat:own1', 'bob', ['to the one that is back']);
    await eventually(() => texts(left, 'chat:own1')).toEqual(['to the one that is back']);
  } finally {
    await keeping.close();
  }
});

test('tabs of two users share nothing', async () => {
  await tab(1, await token(server, 'ann'));
  await tab(2, await token(server, 'ann'));
  await tab(3, await token(server, 'bob'));
  await eventually(async () => (await streams()).toSorted()).toEqual(
    [['chat:own1', 'chat:own2', room].toSorted(), ['chat:own3', room].toSorted()].toSorted(),
  );
});
