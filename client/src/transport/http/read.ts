import type { Page } from '../../protocol/frames.js';
import { problem } from './exchange.js';
import type { FeedHost } from './link.js';

/** A page of one room, as every way to read gives it. */
export interface RoomPage extends Page {
  room: string;
  epoch: string;
}

/**
 * Gives the client a page that goes on from the room's place, and moves that; one that is wholly old is dropped. False where
 * something is missing before it. What is partly old of it the client's cursor cuts (PAGE-3).
 */
export function offer(host: FeedHost, page: RoomPage): boolean {
  const { room, epoch, prev, seq, position } = page;
  const place = host.rooms.get(room);
  if (!place) return true;
  if (epoch !== place.epoch || prev > place.seq) return false;
  if (seq > place.seq) {
    host.rooms.set(room, { epoch, seq, position });
    host.say({ ...page, op: 'page', head: undefined }); // it is not as of the head
  }
  return true;
}

/** What became of a read that was answered. */
export interface Read {
  /** How long to wait before the next one, in milliseconds. */
  pauseMs: number;
  /** Whether there is more to read. */
  more: boolean;
  /** What the node that answered does without, and its name (NODE-1, NODE-3). */
  by?: { parts: unknown; node: string | undefined };
}

/**
 * Reads what is behind a room's position (POLL-1) and gives it to the client: a page, a reset, or a refusal; after the last
 * two the room is no longer followed. `wait` is how long the request may wait for an event, in seconds. Gives undefined
 * where no answer came.
 */
export async function readOn(
  host: FeedHost,
  room: string,
  signal: AbortSignal,
  wait = 0,
): Promise<Read | undefined> {
  const place = host.rooms.get(room);
  if (!place) return { pauseMs: 0, more: false };
  let path = `/v1/rooms/${encodeURIComponent(room)}/events?after=${encodeURIComponent(place.position)}&limit=500`;
  const acked = host.acked.get(room) ?? 0;
  if (acked > place.seq) path += `&seen=${acked}`;
  const answer = await host.ask(wait > 0 ? `${path}&wait=${wait}` : path, { signal }).catch(() => undefined);
  if (!answer || signal.aborted) return undefined;
  // What is not a page is not the server's answer: to ask again at once would be a storm.
  if (answer.ok && host.isPage(answer.body)) {
    const page = answer.body as unknown as RoomPage & { head: number };
    offer(host, { ...page, room });
    host.say({ op: 'ping' });
    const more = page.seq < page.head;
    const by = { parts: answer.body?.degraded ?? [], node: answer.node };
    return { pauseMs: more && host.rooms.get(room) === place ? 1_000 : 0, more, by }; // no storm where nothing moves
  }
  const refusal = problem(answer, 'unavailable');
  const asked = host.rooms.get(room) === place; // else it was joined anew meanwhile
  const isReset = refusal.code === 'reset';
  if (isReset || (!host.ends(refusal) && !refusal.retryable)) {
    if (asked && host.rooms.delete(room)) host.say({ ...refusal, ...(isReset && { op: 'reset' }), room }); // RESET-5
  }
  return {
    pauseMs: isReset ? 0 : Math.max(1_000, Number(refusal.retry_after_ms ?? 0)),
    more: !asked || !isReset,
  };
}
