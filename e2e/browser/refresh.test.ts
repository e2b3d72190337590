import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import type { Browser, Page } from 'playwright-core';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, openContext } from './chromium.ts';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// Whoever writes a page with the hooks saves it again and again: Fast Refresh puts the new component in the place of the
// old one, in a page that goes on. Under StrictMode, as new React projects are.

const repository = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;
let server: Server;
let vite: ViteDevServer;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'roomlog-refresh-'));
  await symlink(join(repository, 'node_modules'), join(folder, 'node_modules'));
  [server, browser] = await Promise.all([Server.start(), launch()]);
  const answer = await fetch(`${server.url}/v1/dev/token?user=ann`);
  const { token } = (await answer.json()) as { token: string };
  await Promise.all([
    write(
      'index.html',
      '<!doctype html><link rel="icon" href="data:,"><main></main><script type="module" src="/main.tsx"></script>',
    ),
    write('client.ts', CLIENT.replace('TOKEN', token)),
    write('main.tsx', MAIN),
    write('Chat.tsx', chat('roomlog/react', 'first')),
  ]);
  vite = await createServer({
    root: folder,
    configFile: false,
    logLevel: 'error',
    plugins: [react()],
    cacheDir: join(folder, '.vite'),
    optimizeDeps: { include: ['react', 'react/jsx-dev-runtime', 'react-dom/client'] },
    server: {
      host: '127.0.0.1',
      port: 0,
      fs: { allow: [folder, repository] },
      proxy: { '/v1': { target: server.url, ws: true } },
    },
  });
  await vite.listen();
});
afterAll(async () => {
  await browser?.close();
  await vite?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Where the page is. */
const address = () => String(vite.resolvedUrls?.local[0]);

/** Writes a file in one go: Vite would read one that is empty between two steps of a slow machine. */
async function write(name: string, text: string): Promise<void> {
  const beside = `${folder}-${name}`;
  await writeFile(beside, text);
  await rename(beside, join(folder, name));
}

const CLIENT = `
import { createClient } from 'roomlog';
export const client = createClient({ url: '/', token: 'TOKEN' });
`;

const MAIN = `
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { RoomlogProvider } from 'roomlog/react';
import { client } from './client.ts';
import { Lobby } from './Chat.tsx';
createRoot(document.querySelector('main')!).render(
  <StrictMode><RoomlogProvider client={client}><Lobby /></RoomlogProvider></StrictMode>,
);
`;

/** The file that is written anew: a provider and what is in it. `more` is another hook, for which React mounts it anew. */
function chat(entry: string, title: string, more = ''): string {
  return `
import { useState } from 'react';
import { RoomProvider, useConnection, useLostConnection, useMessages, useRoom } from '${entry}';

export function Lobby() {
  ${more}
  return <RoomProvider id="chat:refresh"><Chat /></RoomProvider>;
}

function Chat() {
  const [clicks, setClicks] = useState(0);
  const { messages, send } = useMessages();
  const state = useConnection(c => c.state);
  const room = useRoom(r => r.status.state);
  useLostConnection(() => {});
  return <>
    <h1>${title}</h1>
    <p>{state} {room}</p>
    <button onClick={() => { setClicks(clicks + 1); send({ text: 'click ' + clicks }); }}>{clicks}</button>
    <ol>{messages.map(m => <li key={m.tag}>{m.data.text}</li>)}</ol>
  </>;
}
`;
}

/** What the page does with its WebSockets to the server, and what it complains about. */
function watch(page: Page) {
  const seen = { sockets: 0, joins: 0, leaves: 0, complaints: [] as string[] };
  page.on('websocket', socket => {
    if (!socket.url().endsWith('/v1/ws')) return; // Vite has one of its own
    seen.sockets++;
    socket.on('framesent', ({ payload }) => {
      const { op } = JSON.parse(String(payload)) as { op: string };
      if (op === 'join') seen.joins++;
      if (op === 'leave') seen.leaves++;
    });
  });
  page.on('console', line => {
    if (line.type() === 'error' || line.type() === 'warning') seen.complaints.push(line.text());
  });
  page.on('pageerror', error => seen.complaints.push(`uncaught: ${error}`));
  return seen;
}

test.each(['roomlog/react', 'roomlog/react/suspense'])(
  'a page with the hooks of %s is edited: its state is kept, on one socket, joined once, without a word',
  async entry => {
    const first = `first of ${entry}`;
    await write('Chat.tsx', chat(entry, first));
    // Until it has heard of the new file, Vite gives the one of the test before.
    await eventually(async () => (await fetch(`${address()}Chat.tsx`)).text()).toContain(first);
    const page = await (await openContext(browser)).newPage();
    const seen = watch(page);
    const text = (selector: string) => () => page.textContent(selector);
    await page.goto(address());
    await eventually(text('h1')).toBe(first);
    await eventually(text('p')).toBe('connected live');
    const before = (await page.textContent('ol')) ?? '';
    await page.click('button');
    await eventually(text('ol')).toBe(`${before}click 0`);
    const row = await page.$('li:last-child');

    await write('Chat.tsx', chat(entry, 'second'));
    await eventually(text('h1')).toBe('second');
    expect(await page.textContent('button')).toBe('1');
    await eventually(text('p')).toBe('connected live');
    expect(await row?.evaluate(node => node.isConnected)).toBe(true);

    // With other hooks in it, the provider is mounted anew: that is a leave and an attach in one go.
    await write('Chat.tsx', chat(entry, 'third', 'useState(0);'));
    await eventually(text('h1')).toBe('third');
    expect(await page.textContent('button')).toBe('0');
    await page.click('button');
    await eventually(text('ol')).toBe(`${before}click 0click 0`);
    await eventually(text('p')).toBe('connected live');
    expect(seen).toEqual({ sockets: 1, joins: 1, leaves: 0, complaints: [] });
    await page.close();
  },
);
