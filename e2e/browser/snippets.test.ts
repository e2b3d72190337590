import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, Locator } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Visit, visit } from './chromium.ts';
import { eventually, lobby } from './home.ts';
import { Server } from './server.ts';

let server: Server;
let browser: Browser;
let here: Visit;

beforeAll(async () => {
  [server, browser] = await Promise.all([Server.start(), launch()]);
  here = await visit(browser, server.url, { permissions: ['clipboard-read', 'clipboard-write'] });
  await here.home.greeted();
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** Presses Copy on a tab and returns what the clipboard has. */
async function copy(tab: string): Promise<string> {
  const { page } = here;
  await page.getByRole('tab', { name: tab }).click();
  await page.evaluate(() => navigator.clipboard.writeText(''));
  const button = page.locator('.copy');
  // That of the tab before is said to be copied for a while.
  await eventually(() => button.textContent()).toBe('Copy');
  const said = await noteWords(button);
  await button.click();
  await eventually(said).toContainEqual({ words: 'Copied', whole: true });
  return page.evaluate(() => navigator.clipboard.readText());
}

/** Notes what a copy button says from now on, for however short a time, and whether it is whole then; the returned function tells it. */
async function noteWords(button: Locator) {
  const noted = await button.evaluateHandle(button => {
    const noted: { words: string | null; whole: boolean }[] = [];
    new MutationObserver(() => {
      const frame = document.querySelector('.snippets')?.getBoundingClientRect();
      const whole = frame !== undefined && button.getBoundingClientRect().right <= frame.right;
      noted.push({ words: button.textContent, whole });
    }).observe(button, { characterData: true, childList: true, subtree: true });
    return noted;
  });
  return () => noted.jsonValue();
}

test('React: nine lines after the imports, with this server’s address and a token that works', async () => {
  const copied = await copy('React');
  expect(copied.trimEnd().split('\n')).toHaveLength(2 + 9);
  expect(copied).toContain(`url: '${server.url}'`);
  const token = /token: '([^']+)'/.exec(copied)?.[1];
  const headers = { Authorization: `Bearer ${token}` };
  expect((await fetch(`${server.url}/v1/rooms/${lobby}/events`, { headers })).status).toBe(200);
});

test('Plain: pasted into a file and run, it talks with both panes', async () => {
  // In the workspace, so that `roomlog` is found as it would be after npm install.
  const cache = fileURLToPath(new URL('../../.cache/', import.meta.url));
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, 'snippet-'));
  let app: ChildProcess | undefined;
  try {
    const node20 = "import WebSocket from 'ws';\nglobalThis.WebSocket ??= WebSocket;\n";
    await writeFile(join(folder, 'app.mjs'), node20 + (await copy('Plain')));
    const child = spawn(process.execPath, [join(folder, 'app.mjs')]);
    app = child;
    let printed = '';
    child.stdout.on('data', chunk => {
      printed += chunk;
    });
    child.stderr.on('data', chunk => {
      printed += chunk;
    });
    await eventually(async () => printed).toMatch(/stored as number 5/);
    await eventually(() => here.home.jonas.row('hello from my app').count()).toBe(1);
    await here.home.mira.say('hello, app');
    await eventually(async () => printed).toContain('6 Mira hello, app sent');
  } finally {
    app?.kill();
    await rm(folder, { recursive: true, force: true });
  }
});

test('curl: run twice, it is one message (TAG-3)', async () => {
  const commands = await copy('curl');
  // What curl would send, read from the commands: curl itself is not on every machine.
  const token = /^TOKEN='(.+)'$/m.exec(commands)?.[1];
  const url = /-X POST '([^']+)'/.exec(commands)?.[1] ?? '';
  const body = /-d '([^']+)'/.exec(commands)?.[1] ?? '';
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  expect(commands).toContain('-H "Authorization: Bearer $TOKEN" -H \'Content-Type: application/json\'');
  const statuses = [];
  for (const _ of ['first', 'again'])
    statuses.push((await fetch(url, { method: 'POST', headers, body })).status);
  expect(statuses).toEqual([201, 200]);
  await eventually(() => here.home.mira.row('hello from curl').count()).toBe(1);
  expect((await server.log(lobby)).filter(e => e.data.text === 'hello from curl')).toHaveLength(1);
  const read = /^curl -sS '([^']+)'/m.exec(commands)?.[1] ?? '';
  expect(await (await fetch(read, { headers })).text()).toContain('hello from curl');
});

test.each([320, 390])(
  'the copy button is whole at %i px, also where the browser does not let it copy',
  async width => {
    const { page } = await visit(browser, server.url, { viewport: { width, height: 800 } });
    const button = page.locator('.copy');
    await eventually(() => button.isEnabled()).toBe(true);
    const whole = () =>
      button.evaluate(b => {
        const frame = document.querySelector('.snippets')?.getBoundingClientRect();
        return frame !== undefined && b.getBoundingClientRect().right <= frame.right;
      });
    expect(await whole()).toBe(true);
    await page.evaluate(() => {
      navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed'));
    });
    const said = await noteWords(button);
    await button.click();
    await eventually(said).toContainEqual({ words: 'Select and copy by hand', whole: true });
    await page.context().close();
  },
);

test('no page complained', () => {
  expect(here.complaints).toEqual([]);
});
