import { setTimeout as pause } from 'node:timers/promises';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { ConnectionStatus, TransportName } from 'roomlog';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { launch, openContext } from './chromium.ts';
import { room, say, servePage, token, transport } from './client-page.ts';
import { eventually } from './home.ts';
import { FaultProxy, holdingProxy } from './proxy.ts';
import { Server } from './server.ts';

// A page behind the proxies that people sit behind: whatever carries its connection, and however often that changes, it has
// the log, and nobody is told of a loss.

let server: Server;
const proxies: { stop(): unknown }[] = [];
let browser: Browser;
let context: BrowserContext;

declare global {
  interface Window {
    /** What the page was told: states and losses, each as it changed; and the seqs of the events it was given. */
    told: string[];
    seen: number[];
  }
}

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

async function open(url: string, transports: TransportName[] = ['websocket', 'sse', 'poll']): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${url}/kept`);
  await page.evaluate(
    ([id, token, transports]) => {
      const client = window.roomlog.createClient({ url: '/', token, transports, backoff: { maxMs: 500 } });
      window.client = client;
      window.told = [];
      window.seen = [];
      client.on('lost-connection', what => window.told.push(what));
      client.status.subscribe(() => {
        const { state } = client.status.get();
        if (state !== window.told.at(-1)) window.told.push(state);
      });
      const room = client.room(id, { position: '0' });
      room.on('event', event => window.seen.push(event.seq));
      room.attach();
    },
    [room, await token(server, 'ann'), transports] as const,
  );
  return page;
}

const told = (page: Page) => page.evaluate(() => window.told);
const status = (page: Page) => page.evaluate((): ConnectionStatus => window.client.status.get());

let said = 0;

/** The page and somebody else talk, as fast as people do, until `done` says so. */
async function talkUntil(page: Page, done: () => Promise<boolean>): Promise<void> {
  while (!(await done())) {
    await say(page, `a${++said}`);
    await server.post(room, 'bob', [`b${said}`]);
    await pause(50);
  }
}

/** The page has the log of the server: each event once and in order, its own in the order in which they were said. */
async function hasTheLog(page: Page): Promise<void> {
  await eventually(async () => (await status(page)).pendingSends).toBe(0);
  const log = await server.log(room);
  const shown = () =>
    page.evaluate(
      id =>
        window.client
          .room(id)
          .messages.list.get()
          .map(m => `${m.seq} ${m.tag}`),
      room,
    );
  await eventually(shown).toEqual(log.map(({ seq, tag }) => `${seq} ${tag}`));
  // An ack may come before the page that has the event.
  await eventually(() => page.evaluate(() => window.seen)).toEqual(log.map(({ seq }) => seq));
  const own = log.filter(({ author }) => author === 'ann').map(({ data }) => Number(data.text?.slice(1)));
  expect(own).toEqual(own.toSorted((a, b) => a - b));
  expect(new Set(own).size).toBe(own.length);
  expect(await page.evaluate(id => window.client.room(id).status.get().gaps, room)).toBe(0);
}

/** Counts what it is asked. */
function times(n: number): () => Promise<boolean> {
  return async () => n-- <= 0;
}

test('it blocks upgrades: a stream, also through cuts', async () => {
  const proxy = await FaultProxy.start(server.url);
  proxies.push(proxy);
  await proxy.fault({ kind: 'cut-after', class: '/v1/ws', direction: 'down', bytes: 0 });
  const page = await open(proxy.url);
  await talkUntil(page, async () => (await transport(page)()) === 'sse');
  for (let cuts = 0; cuts < 2; cuts++) {
    await talkUntil(page, times(10));
    await proxy.cut('');
  }
  await talkUntil(page, times(10));
  await hasTheLog(page);
  expect(await told(page)).not.toContain('lost');
});

test('it holds streams back: long polls', async () => {
  const proxy = await holdingProxy(server.url);
  proxies.push(proxy);
  const page = await open(proxy.url);
  await talkUntil(page, async () => (await transport(page)()) === 'poll');
  await talkUntil(page, times(20));
  await hasTheLog(page);
});

test('it cuts every connection when it is two seconds old: ends on polls that pass, and stays there', async () => {
  const proxy = await FaultProxy.start(server.url);
  proxies.push(proxy);
  await proxy.fault({ kind: 'expire', age_ms: 2_000 });
  const page = await open(proxy.url);
  await talkUntil(page, async () => (await transport(page)()) === 'poll');
  const before = (await told(page)).length;
  await talkUntil(page, times(50));
  await hasTheLog(page);
  expect(await told(page)).not.toContain('lost');
  expect((await told(page)).slice(before)).toEqual([]);
});

test('it cuts every connection when it is sixteen seconds old: a stream is taken up again, and nothing is seen of it', async () => {
  const proxy = await FaultProxy.start(server.url);
  proxies.push(proxy);
  // A stream that held for ten seconds is as good as any, and it may begin on a connection that is some seconds old.
  await proxy.fault({ kind: 'expire', age_ms: 16_000 });
  const page = await open(proxy.url, ['sse', 'poll']);
  await eventually(transport(page)).toBe('sse');
  const before = (await told(page)).length;
  const headers = { authorization: `Bearer ${await token(server, 'reader')}` };
  const streams = new Set<string>();
  await talkUntil(page, async () => {
    const answer = await fetch(`${server.url}/v1/connections`, { headers });
    const { connections } = (await answer.json()) as { connections: { id: string; transport: string }[] };
    for (const { id, transport } of connections) if (transport === 'sse') streams.add(id);
    return streams.size >= 3;
  });
  await hasTheLog(page);
  expect(await transport(page)()).toBe('sse');
  expect((await told(page)).slice(before)).toEqual([]);
});
