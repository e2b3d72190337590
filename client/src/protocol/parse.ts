import { areSeqs, areStrings, type Fields, isFields, isPage, MAX_WAIT_MS, wait } from './check.js';
import type { ServerFrame } from './frames.js';

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
