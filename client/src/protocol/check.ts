import type { Page, WireEvent } from './frames.js';

// What the other side says is looked at before it is believed: its fields, the pages among them, and whether a page adjoins.

/** An object of JSON. */
export type Fields = Record<string, unknown>;

/** Whether v is an object of JSON. */
export const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);
const isSeq = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
/** Whether these fields are texts. */
export const areStrings = (f: Fields, ...names: string[]) => names.every(name => typeof f[name] === 'string');
/** Whether these fields are seqs, or 0. */
export const areSeqs = (f: Fields, ...names: string[]) => names.every(name => isSeq(f[name]));

function isEvent(v: unknown, seq: number): v is WireEvent {
  return isFields(v) && v.seq === seq && areStrings(v, 'type', 'author', 'tag', 'at') && 'data' in v;
}

/** The longest that anything is waited for, in milliseconds: a timer of much more would fire at once. */
export const MAX_WAIT_MS = 3_600_000;

/** A time in milliseconds as the other side gave it: an hour at most, and 0 where it is no number. */
export const wait = (ms: unknown): number => Math.min(+(ms as number) || 0, MAX_WAIT_MS);

/** Whether v is a page that lists every seq of `(prev, seq]` once and in order (PAGE-1, PAGE-2). */
export function isPage(v: unknown): v is Page {
  if (!isFields(v) || !areSeqs(v, 'prev', 'seq') || !areStrings(v, 'position')) return false;
  const { prev, seq, events } = v as { prev: number; seq: number; events: unknown };
  return (
    Array.isArray(events) &&
    events.length === seq - prev &&
    events.every((event, i) => isEvent(event, prev + 1 + i))
  );
}

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
