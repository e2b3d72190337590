import { build } from 'esbuild';
import type { BrowserContext, Page } from 'playwright-core';
import type * as roomlog from 'roomlog';
import type { Client } from 'roomlog';
import type * as indexeddb from 'roomlog/indexeddb';
import type { Server } from './server.ts';

type Package = typeof roomlog & typeof indexeddb;
declare global {
  interface Window {
    roomlog: Package;
    client: Client;
  }
}

/** The room that the pages follow. */
export const room = 'chat:kept';

let bundled: Promise<string> | undefined;

/** The package as one script. */
async function bundle(): Promise<string> {
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
  return outputFiles[0]?.text ?? '';
}

/** Serves an empty page with the package in it at `/kept` of whatever origin, also while the server is away. */
export async function servePage(context: BrowserContext): Promise<void> {
  bundled ??= bundle();
  const body = `<!doctype html><script>${await bundled}</script>`;
  await context.route('**/kept', route => route.fulfill({ contentType: 'text/html', body }));
}

/** A dev token, from the server itself. */
export async function token(server: Server, user: string): Promise<string> {
  const answer = await fetch(`${server.url}/v1/dev/token?user=${user}`);
  return ((await answer.json()) as { token: string }).token;
}

/** A client of this user in the page, which follows the room. */
export function start(page: Page, user: string, token: string): Promise<void> {
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

/** Sends from the page. */
export const say = (page: Page, text: string) =>
  page.evaluate(([id, text]) => void window.client.room(id).messages.send({ text }), [room, text] as const);

/** What the room shows in the page: text and delivery of each message. */
export const shown = (page: Page) => () =>
  page.evaluate(
    id =>
      window.client
        .room(id)
        .messages.list.get()
        .map(m => `${m.data.text} ${m.delivery}`),
    room,
  );

/** What carries the page's connection. */
export const transport = (page: Page) => () => page.evaluate(() => window.client.status.get().transport);
