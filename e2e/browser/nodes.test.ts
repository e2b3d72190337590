import type { Browser, Page, WebSocketRoute } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { seriousFindings } from './access.ts';
import { Chat, chatUrl } from './chat.ts';
import { launch, leave, visit } from './chromium.ts';
import { eventually, Home } from './home.ts';
import { Server } from './server.ts';

// What the pages say of the node they are on, and while the server does without a part of its own. The server is the real
// one, alone and named; that it does without its bus is said in its place, by a frame on the page's own sockets.

const late = 'Updates may be a second late';
const room = 'chat:design';
const node = 'node-with-quite-a-long-name-7f3a';

let browser: Browser;
let server: Server;
let nameless: Server;

beforeAll(async () => {
  browser = await launch();
  server = await Server.start(async () => ['--node', node]);
  nameless = await Server.start();
  await server.post(room, 'Jonas', ['hello', 'there']);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await nameless?.stop();
});
afterEach(async () => {
  await leave(browser);
});

/** Opens a page whose sockets can be told more than the server says. */
async function open(
  path: string,
  look: { colorScheme?: 'light' | 'dark'; viewport?: { width: number; height: number } } = {},
) {
  const sockets = new Set<WebSocketRoute>();
  const { page, complaints } = await visit(browser, 'about:blank', look);
  await page.routeWebSocket(/\/v1\/ws$/, socket => {
    const there = socket.connectToServer();
    sockets.add(socket);
    there.onClose(() => sockets.delete(socket));
  });
  await page.goto(`${server.url}${path}`);
  const tell = (...parts: string[]) => {
    for (const socket of sockets)
      socket.send(JSON.stringify({ op: 'degraded', parts, ...(parts.length > 0 && { within_ms: 1_000 }) }));
  };
  return { page, complaints, tell };
}

/** What the polite regions have said since this was called, in order; silence is not told. */
async function listen(page: Page): Promise<() => Promise<string[]>> {
  const heard = await page.evaluateHandle(() => {
    const said: string[] = [];
    for (const region of document.querySelectorAll('[aria-live="polite"].unseen, .unseen[role="status"]')) {
      let before = region.textContent;
      new MutationObserver(() => {
        const now = region.textContent;
        if (now !== before && now) said.push(now);
        before = now;
      }).observe(region, { characterData: true, childList: true, subtree: true });
    }
    return said;
  });
  return () => heard.jsonValue();
}

/** What is to be read of it, as laid out. */
const seen = (page: Page, selector: string) =>
  // biome-ignore lint/performance/useDomNodeTextContent: what is not displayed is not to be read
  page.locator(selector).evaluateAll(all => all.map(each => (each as HTMLElement).innerText.trim()));

/** The colours of the dots beside the words: a ring while updates may be late. */
const fill = (page: Page) =>
  page.locator('.connection-dot').evaluateAll(dots => dots.map(dot => getComputedStyle(dot).backgroundColor));
const hollow = 'rgba(0, 0, 0, 0)';

async function sound(page: Page): Promise<void> {
  expect(await seriousFindings(page)).toEqual([]);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow).toBeLessThanOrEqual(0);
}

const looks = [
  { colorScheme: 'light', viewport: { width: 1280, height: 900 } },
  { colorScheme: 'dark', viewport: { width: 390, height: 844 } },
] as const;

describe.each(looks)('in $colorScheme at $viewport.width px', look => {
  test('each pane of Home says its node, and that updates may be late, once aloud', async () => {
    const { page, complaints, tell } = await open('/', look);
    await new Home(page).greeted();
    const heard = await listen(page);
    const signs = page.locator('.node-sign');
    await eventually(() => signs.count()).toBe(2);
    expect(await signs.first().textContent()).toBe(`on node ${node}`);
    await eventually(() => seen(page, '.connection-words')).toEqual(['Connected', 'Connected']);
    const height = (await page.locator('.pane').first().boundingBox())?.height;
    tell('bus');
    await eventually(() => seen(page, '.late-sign')).toEqual([late, late]);
    await eventually(() => fill(page)).toEqual([hollow, hollow]);
    await sound(page);
    expect((await page.locator('.pane').first().boundingBox())?.height).toBe(height);
    await page.locator('.pane textarea').nth(1).focus(); // the other pane is in use now
    tell();
    await eventually(() => seen(page, '.connection-words')).toEqual(['Connected', 'Connected']);
    await eventually(heard).toEqual([`${late}.`]);
    expect(complaints).toEqual([]);
  });

  test('the chat says its node, and that updates may be late, once aloud', async () => {
    const { page, complaints, tell } = await open(chatUrl('', { room }), look);
    const chat = await new Chat(page, complaints).ready();
    const heard = await listen(page);
    expect(await chat.signal.locator('.node-sign').textContent()).toBe(`on node ${node}`);
    await eventually(chat.fromEnd).toBe(0);
    tell('bus');
    await eventually(() => seen(page, '.late-sign')).toEqual([
      look.viewport.width < 800 ? 'A second late' : late,
    ]);
    expect(await chat.signal.locator('.late-sign').getAttribute('title')).toBe(late);
    await eventually(() => fill(page)).toEqual([hollow]);
    expect(await chat.banner.count()).toBe(0);
    await eventually(chat.fromEnd).toBe(0); // the list has another height, and its end follows in the next frame
    await sound(page);
    const text = `is heard all the same, in ${look.colorScheme}`;
    await chat.say(text);
    await eventually(chat.delivery(text)).toBe('sent');
    tell();
    await eventually(() => chat.signal.textContent()).toMatch(/^Connected/);
    await eventually(heard).toEqual([`${late}.`]);
    expect(complaints).toEqual([]);
  });
});

test('a server that names no node is not spoken of', async () => {
  const { page, home } = await visit(browser, nameless.url);
  await home.greeted();
  expect(await page.locator('.node-sign, .late-sign').count()).toBe(0);
  await page.goto(chatUrl(nameless.url, {}));
  await new Chat(page, []).ready();
  expect(await page.locator('.node-sign, .late-sign').count()).toBe(0);
});
