import {
  areSeqs,
  areStrings,
  type Fields,
  isDated,
  isFields,
  isPage,
  isTexts,
  MAX_WAIT_MS,
  wait,
} from './check.js';
import type { ServerFrame } from './frames.js';

const isOfRoom = (f: Fields) => areStrings(f, 'room');
const shapes: Record<ServerFrame['op'], (f: Fields) => boolean> = {
  welcome: f =>
    areStrings({ node: '', ...f }, 'user', 'node') &&
    typeof f.ping_ms === 'number' &&
    f.ping_ms > 0 &&
    f.ping_ms <= MAX_WAIT_MS,
  joined: f => areStrings(f, 'room', 'epoch') && areSeqs(f, 'floor', 'head') && isPage(f.page),
  page: f => areStrings(f, 'room', 'epoch') && isPage(f),
  ack: f => areStrings(f, 'room', 'epoch', 'tag') && isDated(f) && areSeqs(f, 'seq'),
  error: f => areStrings(f, 'code', 'title') && typeof f.retryable === 'boolean',
  reset: f => areStrings(f, 'room', 'reason'),
  degraded: f => isTexts(f.parts),
  presence: isOfRoom,
  signals: isOfRoom,
  receipts: isOfRoom,
  part: isOfRoom,
  marked: isOfRoom,
  me: () => true,
  ping: () => true,
  pong: () => true,
};

/**
 * Reads one text message. It never throws. Undefined is an op of a later server, to be ignored (VER-4); a text says why a message is broken, of
 * which nothing may be taken.
 */
export function parseFrame(text: string): ServerFrame | string | undefined {
  let v: unknown;
  try {
    v = JSON.parse(text);
  } catch {
    return 'not JSON';
  }
  if (!isFields(v) || typeof v.op !== 'string') return 'no op';
  if (!Object.hasOwn(shapes, v.op)) return undefined;
  if (!shapes[v.op as ServerFrame['op']](v)) return `shape of ${v.op}`;
  if (v.op === 'welcome' && !isFields(v.limits)) v.limits = {};
  if ('retry_after_ms' in v) v.retry_after_ms = wait(v.retry_after_ms);
  return v as unknown as ServerFrame;
}
