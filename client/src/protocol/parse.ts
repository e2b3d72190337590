import type { Page, ServerFrame, WireEvent } from './frames.js';

type Fields = Record<string, unknown>;

const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);
const isSeq = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const areStrings = (f: Fields, ...names: string[]) => names.every(name => typeof f[name] === 'string');
const areSeqs = (f: Fields, ...names: string[]) => names.every(name => isSeq(f[name]));

function isEvent(v: unknown, seq: number): v is WireEvent {
  return isFields(v) && v.seq === seq && areStrings(v, 'type', 'author', 'tag', 'at') && 'data' in v;
}

/** The longest that anything is waited for, in milliseconds: a timer of much more would fire at once. */
const MAX_WAIT_MS = 3_600_000;

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

const shapes: Record<ServerFrame['op'], (f: Fields) => boolean> = {
  welcome: f =>
    areStrings(f, 'user') && typeof f.ping_ms === 'number' && f.ping_ms > 0 && f.ping_ms <= MAX_WAIT_MS,
  joined: f => areStrings(f, 'room', 'epoch') && areSeqs(f, 'floor', 'head') && isPage(f.page),
  page: f => areStrings(f, 'room', 'epoch') && isPage(f),
  ack: f => areStrings(f, 'room', 'epoch', 'tag', 'at') && areSeqs(f, 'seq'),
  error: f => areStrings(f, 'code', 'title') && typeof f.retryable === 'boolean',
  reset: f => areStrings(f, 'room', 'reason'),
  ping: () => true,
  pong: () => true,
};

/**
 * What one text message says. `unknown` is an op of a later server, to be ignored (VER-4); `broken` is
 * a frame whose shape is wrong, of which nothing may be taken.
 */
export type Parsed = { frame: ServerFrame } | { unknown: string } | { broken: string };

/** Reads one text message. It never throws. */
export function parseFrame(text: string): Parsed {
  let v: unknown;
  try {
    v = JSON.parse(text);
  } catch {
    return { broken: 'not JSON' };
  }
  if (!isFields(v) || typeof v.op !== 'string') return { broken: 'no op' };
  if (!Object.hasOwn(shapes, v.op)) return { unknown: v.op };
  if (!shapes[v.op as ServerFrame['op']](v)) return { broken: `shape of ${v.op}` };
  if (v.op === 'welcome' && !isFields(v.limits)) v.limits = {};
  if ('retry_after_ms' in v) v.retry_after_ms = wait(v.retry_after_ms);
  return { frame: v as unknown as ServerFrame };
}
