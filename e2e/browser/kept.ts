import type { Page } from 'playwright-core';
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
