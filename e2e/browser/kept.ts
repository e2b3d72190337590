import type { Page } from 'playwright-core';
import * as Y from 'yjs';
import { eventually } from './home.ts';

/** What the tests look at of what the client has written down. */
interface Kept {
  readonly events?: readonly unknown[];
  readonly update?: readonly number[];
}

/** What the client has written down: what is shown is kept a moment later, and a page that goes before that takes it along. */
function keptOf(page: Page, what: 'sends' | 'windows' | 'docs'): Promise<Kept[]> {
  return page.evaluate(
    what =>
      new Promise<Kept[]>((done, failed) => {
        const opened = indexedDB.open('roomlog');
        // Before the client has made it there is none, and it must not find an empty one.
        opened.onupgradeneeded = () => opened.transaction?.abort();
        opened.onerror = () => done([]);
        opened.onsuccess = () => {
          const database = opened.result;
          const all = database.transaction(what).objectStore(what).getAll();
          all.onerror = () => failed(all.error);
          all.onsuccess = () => {
            database.close();
            done(all.result.map(({ events, update }) => ({ events, update: update && [...update] })));
          };
        };
      }),
    what,
  );
}

/** Resolves when at least so many unsent messages, or windows of rooms, are kept. */
export function isKept(page: Page, what: 'sends' | 'windows', least: number): Promise<void> {
  return eventually(async () => (await keptOf(page, what)).length).toBeGreaterThanOrEqual(least);
}

/** Resolves when the windows of rooms that are kept have so many events. */
export function areKept(page: Page, events: number): Promise<void> {
  return eventually(
    async () => (await keptOf(page, 'windows')).flatMap(({ events = [] }) => events).length,
  ).toBe(events);
}

/** The text of the one document of a page as it is kept. */
export async function keptText(page: Page): Promise<string> {
  const ydoc = new Y.Doc();
  for (const { update = [] } of await keptOf(page, 'docs')) Y.applyUpdate(ydoc, Uint8Array.from(update));
  return ydoc.getText('text').toString();
}
