import type { Page } from './frames.js';

/** Where a cursor stands: numbering and the last seq it took. */
export interface Cursor {
  epoch: string;
  seq: number;
}

/**
 * What to do with a page (PAGE-3, PAGE-4): `take` what is new of it, `drop` it as wholly old, or see a `hole`:
 * something between the cursor and the page was not delivered, and nothing of the page may be taken.
 */
export type Fit = { fit: 'take'; page: Page } | { fit: 'drop' } | { fit: 'hole' };

/** Checks that a page adjoins the cursor. A page of another epoch never does. */
export function fitPage(cursor: Cursor, epoch: string, page: Page): Fit {
  if (epoch !== cursor.epoch || page.prev > cursor.seq) return { fit: 'hole' };
  if (page.prev === cursor.seq) return { fit: 'take', page };
  if (page.seq <= cursor.seq) return { fit: 'drop' };
  const events = page.events.slice(cursor.seq - page.prev);
  return { fit: 'take', page: { ...page, prev: cursor.seq, events } };
}
