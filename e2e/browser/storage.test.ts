import { build } from 'esbuild';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type * as roomlog from 'roomlog';
import type { Client } from 'roomlog';
import type * as indexeddb from 'roomlog/indexeddb';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { launch } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// What survives in a real browser, with its IndexedDB and its Web Locks. The page is served by the test, so that it
// can be reloaded while the server is away.

type Package = typeof roomlog & typeof indexeddb;
declare global {
  interface Window {
    roomlog: Package;
    client: Client;
  }
}

const room = 'chat:kept';
let server: Server;
let browser: Browser;
let context: BrowserContext;
let script: string;

beforeAll(async () => {
  const { outputFiles } = await build({
    stdin: {
      contents: "export * from 'roomlog'; export * from 'roomlog/indexeddb';",
      resolveDir: import.meta.dirname,
    },
    bundle: true,
    format: 'iife',
    globalName: 'roomlog',
    write: false,
  });
  script = outputFiles[0]?.text ?? '';
  browser = await launch();
});
afterAll(() => browser?.close());

beforeEach(async () => {
  server = await Server.start();
  context = await browser.newContext();
  await context.route('**/kept', route =>
    route.fulfill({ contentType: 'text/html', body: `<!doctype html><script>${script}</script>` }),
  );
});
afterEach(async () => {
  await context?.close();
  await server?.stop();
});

async function token(user: string): Promise<string> {
  const answer = await fetch(`${server.url}/v1/dev/token?user=${user}`);
  return ((await answer.json()) as { token: string }).token;
}

/** A client of this user in the page, which follows the room. */
function start(page: Page, user: string, token: string): Promise<void> {
  return page.evaluate(
    ([id, user, token]) => {
      const { createClient, indexedDBStorage } = window.roomlog;
      const storage = indexedDBStorage();
      window.client = createClient({ url: '/', token, user, storage, backoff: { maxMs: 500 } });
      window.client.room(id).attach();
    },
    [room, user, token] as const,
  );
}

async function tab(user: string, token: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${server.url}/kept`);
  await start(page, user, token);
  return page;
}

const say = (page: Page, text: string) =>
  page.evaluate(([id, text]) => void window.client.room(id).messages.send({ text }), [room, text] as const);

const shown = (page: Page) => () =>
  page.evaluate(
    id =>
      window.client
        .room(id)
        .messages.list.get()
        .map(m => `${m.data.text} ${m.delivery}`),
    room,
  );

const stored = async () => (await server.log(room)).map(event => event.data.text);

test('a reload while the server is away: the room and the queue are there at once, then it goes on', async () => {
  const ann = await token('ann');
  const page = await tab('ann', ann);
  await say(page, 'one');
  await eventually(shown(page)).toEqual(['one sent']);
  await page.evaluate(() => window.client.close()); // what was shown is written
  await page.reload();
  await start(page, 'ann', ann);
  await eventually(shown(page)).toEqual(['one sent']);
  await server.kill();
  for (const text of ['two', 'three', 'four']) await say(page, text);
  await eventually(shown(page)).toEqual(['one sent', 'two queued', 'three queued', 'four queued']);
  await page.reload();
  await start(page, 'ann', ann);
  await eventually(shown(page)).toEqual(['one sent', 'two queued', 'three queued', 'four queued']);
  await server.restart();
  await eventually(shown(page)).toEqual(['one sent', 'two sent', 'three sent', 'four sent']);
  expect(await stored()).toEqual(['one', 'two', 'three', 'four']);
});

test('a tab that is closed while its message waits: another tab sends it, once', async () => {
  const ann = await token('ann');
  const staying = await tab('ann', ann);
  const leaving = await tab('ann', ann);
  await eventually(() => leaving.evaluate(() => window.client.status.get().state)).toBe('connected');
  await server.kill();
  await say(leaving, 'left behind');
  await say(staying, 'mine');
  await eventually(shown(leaving)).toEqual(['left behind queued']);
  // Kept before the tab goes: the lock is held as long as something is.
  await eventually(() => leaving.evaluate(async () => (await navigator.locks.query()).held?.length)).toBe(2);
  await leaving.close();
  await eventually(shown(staying)).toEqual(['mine queued']);
  await server.restart();
  await eventually(async () => (await stored()).sort()).toEqual(['left behind', 'mine']);
  await eventually(() => staying.evaluate(async () => (await navigator.locks.query()).held?.length)).toBe(0);
});

test('what one user wrote is not sent by another, and waits for its author', async () => {
  const [ann, bob] = await Promise.all([token('ann'), token('bob')]);
  const page = await tab('ann', ann);
  await eventually(() => page.evaluate(() => window.client.status.get().state)).toBe('connected');
  await server.kill();
  await say(page, 'by Ann');
  await eventually(shown(page)).toEqual(['by Ann queued']);
  await eventually(() => page.evaluate(async () => (await navigator.locks.query()).held?.length)).toBe(1);
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
