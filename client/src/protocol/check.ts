import type { Page, WireEvent } from './frames.js';

// What the other side says is looked at before it is believed: its fields, the pages among them, and whether a page adjoins.

/** An object of JSON. */
export type Fields = Record<string, unknown>;

/** Whether v is an object of JSON. */
export const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);
/** Whether v is a seq, or 0. */
export const isSeq = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
/** Whether v is a list of texts. */
export const isTexts = (v: unknown): v is string[] =>
  Array.isArray(v) && v.every(each => typeof each === 'string');
/** Whether these fields are texts. */
export const areStrings = (f: Fields, ...names: string[]) => isTexts(names.map(name => f[name]));
/** Whether these fields are seqs, or 0. */
export const areSeqs = (f: Fields, ...names: string[]) => names.every(name => isSeq(f[name]));

/** Whether a time is said in `at`. */
export const isDated = (f: Fields) => areStrings(f, 'at') && Date.parse(f.at as string) > 0;

// What changed an event (CHG-7, CHG-9). Only a deletion has `by`.
const isLast = (v: unknown) =>
  isFields(v) && areSeqs(v, 'seq') && isDated(v) && areStrings({ by: '', ...v }, 'by');
const isReaction = (v: unknown) =>
  isFields(v) && areStrings(v, 'emoji') && areSeqs(v, 'count') && isTexts(v.users);

/** Whether v is an event. */
export function isEvent(v: unknown): v is WireEvent {
  if (!isFields(v) || !areStrings(v, 'type', 'author', 'tag') || !isDated(v) || !('data' in v)) return false;
  // Where there is none, what passes stands in its place: an event has the fields of its own changes.
  const { target = 0, edited = v, deleted = v, reactions = [] } = v;
  return (
    areSeqs({ ...v, target }, 'seq', 'target') &&
    [edited, deleted].every(isLast) &&
    Array.isArray(reactions) &&
    reactions.every(isReaction)
  );
}

/** The longest that anything is waited for, in milliseconds: a timer of much more would fire at once. */
export const MAX_WAIT_MS = 3_600_000;

/** A time in milliseconds as the other side gave it: an hour at most, and 0 where it is no number. */
export const wait = (ms: unknown): number => Math.min(+(ms as number) || 0, MAX_WAIT_MS);

/**
 * Whether v is a page that lists the seqs of `(prev, seq]` once and in order: every one (PAGE-1, PAGE-2), unless it says of some what is still
 * true (PAGE-8).
 */
export function isPage(v: unknown): v is Page {
  if (!isFields(v) || !areSeqs(v, 'prev', 'seq') || !areStrings(v, 'position')) return false;
  const { prev, seq, events, full, docs = full, state = docs } = v as unknown as Page;
  return (
    Array.isArray(events) &&
    (state !== undefined || events.length === seq - prev) &&
    events.every((event, i) => isEvent(event) && event.seq > (events[i - 1]?.seq ?? prev) && event.seq <= seq)
  );
}

/** Where a cursor stands: numbering and the last seq it took. */
export interface Cursor {
  epoch: string;
  seq: number;
}

/**
 * What of a page is to be taken (PAGE-3, PAGE-4); `old` where all of it was taken before, `hole` where something between the cursor and the
 * page was not delivered, and nothing of the page may be taken. A page of another epoch never adjoins.
 */
export function fitPage(cursor: Cursor, epoch: string, page: Page): Page | 'old' | 'hole' {
  if (epoch !== cursor.epoch || page.prev > cursor.seq) return 'hole';
  if (page.prev < cursor.seq && page.seq <= cursor.seq) return 'old';
  return { ...page, prev: cursor.seq, events: page.events.filter(({ seq }) => seq > cursor.seq) };
}
