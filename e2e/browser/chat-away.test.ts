import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Chat, expectShown, openChat, openTab } from './chat.ts';
import { launch, leave } from './chromium.ts';
import { eventually } from './home.ts';
import { isKept } from './kept.ts';
import { FaultProxy } from './proxy.ts';
import { Server } from './server.ts';

// The page opens while there is no server, or no network. Numbers are those of the table in README.md.

const room = 'chat:lobby';

let browser: Browser;
let server: Server;

beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());

beforeEach(async () => {
  server = await Server.start();
  await server.post(room, 'Jonas', ['hello', 'anybody there?']);
  await server.post('chat:design', 'Jonas', ['New icons are up.']);
});
afterEach(async () => {
  await leave(browser);
  await server?.stop();
});

/** A chat that the browser and the client keep. */
async function openKept(url: string): Promise<Chat> {
  const chat = await (await openChat(browser, url)).ready();
  await expectShown(chat, ['hello', 'anybody there?']);
  await kept(chat);
  // The browser asks whether to leave while something is unsent: yes.
  chat.page.on('dialog', dialog => void dialog.accept());
  return chat;
}

/** Resolves when the browser has the page's own files, and the client has written down what it shows. */
async function kept(chat: Chat): Promise<void> {
  await chat.page.evaluate(async () => {
    const { active } = await navigator.serviceWorker.ready;
    while (active?.state !== 'activated')
      await new Promise(done => active?.addEventListener('statechange', done, { once: true }));
  });
  await isKept(chat.page, 'windows', 2);
}

const stored = async () => (await server.messages(room)).map(event => event.data.text);

test('9, 11: offline with three messages queued, and a reload: all is there, and leaves in order, once', async () => {
  const mira = await openKept(server.url);
  await mira.context.setOffline(true);
  const texts = ['one for later', 'another', 'and a third'];
  for (const text of texts) await mira.say(text);
  await isKept(mira.page, 'sends', texts.length);
  await mira.page.reload();
  await expectShown(mira, ['hello', 'anybody there?', ...texts]);
  for (const text of texts) await eventually(mira.delivery(text)).toBe('queued');
  await eventually(() => mira.banner.locator('p').textContent()).toBe(
    'You are offline. 3 messages will be sent later.',
  );
  await mira.say('a fourth, of the page that was opened offline');
  await mira.context.setOffline(false);
  const all = [...texts, 'a fourth, of the page that was opened offline'];
  for (const text of all) await eventually(mira.delivery(text)).toBe('sent');
  expect(await stored()).toEqual(['hello', 'anybody there?', ...all]);
});

test('12, 17: the server is killed and the page reloaded: rooms, messages and drafts are there, and sends wait', async () => {
  const mira = await openKept(server.url);
  await mira.open('design');
  await mira.composer.fill('half a sent');
  await mira.open('lobby');
  await server.kill();
  await mira.page.reload();
  await expectShown(mira, ['hello', 'anybody there?']);
  await eventually(() => mira.rooms.getByRole('link', { name: 'design' }).textContent()).toContain(
    'Draft: half a sent',
  );
  await mira.say('written while there was no server');
  await eventually(mira.delivery('written while there was no server')).toBe('queued');
  await mira.open('design');
  await mira.row('New icons are up.').waitFor();
  await mira.page.getByRole('button', { name: 'Retry now' }).waitFor();
  // Another tab, too, and closed again: what was written there is kept.
  const tab = await openTab(mira, server.url, { room });
  await tab.say('in a tab that is gone');
  await eventually(tab.delivery('in a tab that is gone')).toBe('queued');
  await isKept(tab.page, 'sends', 2);
  await tab.page.close();
  await server.restart();
  await mira.retryNow();
  const all = ['anybody there?', 'hello', 'in a tab that is gone', 'written while there was no server'];
  await eventually(async () => (await stored()).sort()).toEqual(all);
  await mira.open('lobby');
  await expectShown(mira, (await stored()) as string[]);
});

test('a reload into a black hole does not wait for an answer that never comes', async ({
  onTestFinished,
}) => {
  const proxy = await FaultProxy.start(server.url);
  onTestFinished(() => proxy.stop());
  const chat = await openKept(proxy.url);
  await proxy.fault({ kind: 'blackhole' });
  await chat.page.reload({ waitUntil: 'commit' });
  await expectShown(chat, ['hello', 'anybody there?']);
});

test('after an upgrade of the server nothing old is shown, with it or without; nothing of the API is kept', async ({
  onTestFinished,
}) => {
  const proxy = await upgradingProxy(server.url);
  onTestFinished(() => proxy.stop());
  const chat = await openChat(browser, proxy.url);
  await chat.row('anybody there?').waitFor();
  await kept(chat);
  const build = () => chat.page.evaluate(() => document.documentElement.dataset.build);
  expect(await build()).toBe(undefined);
  proxy.serves = 'a later build';
  await chat.page.reload();
  expect(await build()).toBe('later');
  const caches = () =>
    chat.page.evaluate(async () => {
      const names = await window.caches.keys();
      const requests = await Promise.all(names.map(async name => (await window.caches.open(name)).keys()));
      return { names, paths: requests.flat().map(({ url }) => new URL(url).pathname) };
    });
  await eventually(() =>
    chat.page.evaluate(async () => {
      const later = (await window.caches.keys()).find(name => name.endsWith('later'));
      const { installing, waiting } = await navigator.serviceWorker.ready;
      return later !== undefined && !installing && !waiting;
    }),
  ).toBe(true);
  await kept(chat);
  proxy.serves = 'nothing';
  await chat.page.reload();
  expect(await build()).toBe('later');
  await chat.row('anybody there?').waitFor();
  for (const path of (await caches()).paths) expect(path).toMatch(/^\/(chat$|assets\/)/);
  proxy.serves = 'something else';
  await chat.page.reload();
  expect(await chat.page.textContent('body')).toBe('no such page');
  await eventually(() =>
    chat.page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length),
  ).toBe(0);
});

/** A server in front of ours that can be upgraded, taken away, and replaced by one that knows no chat. */
async function upgradingProxy(url: string) {
  const state: { serves: 'this build' | 'a later build' | 'nothing' | 'something else' } = {
    serves: 'this build',
  };
  const later = (path: string, text: string) => {
    if (path.startsWith('/chat')) return text.replace('<html', '<html data-build="later"');
    return path === '/shell.js' ? text.replace(/"build":"[^"]*"/, '"build":"later"') : text;
  };
  const proxy = createServer((asked, answer) => {
    if (state.serves === 'nothing') return asked.socket.destroy();
    if (state.serves === 'something else') return answer.writeHead(404).end('no such page');
    const path = asked.url ?? '/';
    const { 'if-none-match': _, ...headers } = asked.headers;
    const there = request(`${url}${path}`, { method: asked.method, headers }, async got => {
      const { etag: _, 'content-length': __, ...known } = got.headers;
      answer.writeHead(got.statusCode ?? 502, known);
      if (!/^\/(chat|shell)/.test(path) || state.serves !== 'a later build') return got.pipe(answer);
      const chunks = await got.toArray();
      return answer.end(later(path, Buffer.concat(chunks).toString()));
    });
    there.on('error', () => answer.destroy());
    return asked.pipe(there);
  });
  proxy.on('upgrade', (_, socket) => socket.destroy()); // the chat goes on by a stream
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return Object.assign(state, {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    stop: () => {
      proxy.close();
      proxy.closeAllConnections();
    },
  });
}
