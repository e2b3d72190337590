import type { Page } from 'playwright-core';
import * as Y from 'yjs';
import { eventually } from './home.ts';

/**
 * Resolves when the client has written down at least so many unsent messages, or windows of rooms: what is shown is kept a moment later,
 * and a page that goes before that takes it along.
 */
export function isKept(page: Page, what: 'sends' | 'windows', least: number): Promise<void> {
  const count = () =>
    page.evaluate(
      what =>
        new Promise<number>(done => {
          const opened = indexedDB.open('roomlog');
          // Before the client has made it there is none, and it must not find an empty one.
          opened.onupgradeneeded = () => opened.transaction?.abort();
          opened.onerror = () => done(0);
          opened.onsuccess = () => {
            const database = opened.result;
            const transaction = database.transaction(what);
            const count = transaction.objectStore(what).count();
            transaction.oncomplete = () => {
              database.close();
              done(count.result);
            };
          };
        }),
      what,
    );
  return eventually(count).toBeGreaterThanOrEqual(least);
}

/** The text of the one document of a page as the client has written it down, which it does a moment after it was typed. */
export async function keptText(page: Page): Promise<string> {
  const updates = await page.evaluate(
    () =>
      new Promise<number[][]>((done, failed) => {
        const opened = indexedDB.open('roomlog');
        opened.onupgradeneeded = () => opened.transaction?.abort(); // as above
        opened.onerror = () => done([]);
        opened.onsuccess = () => {
          const database = opened.result;
          const all = database.transaction('docs').objectStore('docs').getAll();
          all.onerror = () => failed(all.error);
          all.onsuccess = () => {
            database.close();
            done(all.result.map(({ update }: { update: Uint8Array }) => [...update]));
          };
        };
      }),
  );
  const ydoc = new Y.Doc();
  for (const update of updates) Y.applyUpdate(ydoc, Uint8Array.from(update));
  return ydoc.getText('text').toString();
}
