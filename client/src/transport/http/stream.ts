import type { Transport } from '../transport.js';
import { type Fetch, problem } from './exchange.js';
import { type Feed, type FeedHost, HttpLink, isThere } from './link.js';
import { type StreamEvent, streamParser } from './sse.js';

/** A comment comes at least so often (SSE-9). */
const COMMENT_MS = 15_000;
/** A stream that has not said `ready` by then is held back on the way. */
const READY_MS = 5_000;
/** A stream that is silent for longer is dead, however well requests beside it are answered. */
const SILENT_MS = COMMENT_MS + 5_000;

/** Server-sent events as a transport: pages by one stream for all rooms, the rest by request. `api` is the API's root. */
export function streamTransport(api: string, fetch: Fetch): Transport {
  return { dial: events => new HttpLink(api, fetch, events, COMMENT_MS, host => new StreamFeed(host)) };
}

/** One stream for the rooms of a link. The rooms are those of its URL (SESS-4), so other rooms are another stream. */
class StreamFeed implements Feed {
  readonly #host: FeedHost;
  #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ready: { connection: string; secret: string } | undefined;
  #retryMs: number | undefined;

  constructor(host: FeedHost) {
    this.#host = host;
  }

  /** The old stream says nothing more, since its pages adjoin the old positions. */
  changed(): void {
    this.stop();
    this.#abort = new AbortController();
    // Rooms are joined in bunches.
    this.#timer = setTimeout(() => {
      if (this.#host.rooms.size > 0) void this.#open(this.#abort.signal);
    });
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#ready = undefined;
    this.#abort.abort();
  }

  /** The stream's own connection answers, so a stream that the server has lost is found out (SESS-2). */
  async probe(): Promise<boolean> {
    const { api, fetch, over } = this.#host;
    if (!this.#ready) return isThere(this.#host);
    const { connection, secret } = this.#ready;
    const answer = await fetch(`${api}/v1/connections/${encodeURIComponent(connection)}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: '{"op":"ping"}',
      signal: over,
    });
    if (answer.status === 404 && this.#ready?.connection === connection) this.#host.close(1006, '');
    return answer.ok;
  }

  async #open(signal: AbortSignal): Promise<void> {
    const { api, fetch, token, rooms, over } = this.#host;
    const names = [...rooms.keys()];
    // One room's id is its position, that of several names them (SSE-4).
    const at = [...rooms].map(([room, position]) => (rooms.size === 1 ? position : `${room}=${position}`));
    const search = new URLSearchParams(names.map(room => ['room', room]));
    this.#expect('buffered', READY_MS);
    try {
      const answer = await fetch(`${api}/v1/sse?${search}`, {
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'text/event-stream',
          'last-event-id': at.join(','),
        },
        signal: AbortSignal.any([over, signal]),
        cache: 'no-store',
      });
      if (!answer.ok || !answer.body) {
        const body = await answer.json().catch(() => undefined);
        this.#refused(problem({ ok: false, status: answer.status, body }, 'unavailable'));
        return;
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      const parse = streamParser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (this.#ready) this.#expect('', SILENT_MS);
        for (const event of parse(value)) if (!signal.aborted) this.#take(event);
      }
    } catch {
      // Cut, or given up by us.
    }
    if (signal.aborted) return;
    if (this.#retryMs === undefined) this.#host.close(1006, '');
    else this.#host.close(1012, `going_away ${this.#retryMs}`); // SSE-10
  }

  /** Ends the link where nothing comes in time. */
  #expect(reason: string, ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#host.close(1006, reason), ms);
  }

  /** The rooms were read a moment ago: which one is refused now, its next join tells. */
  #refused(refusal: Record<string, unknown> & { code: string }): void {
    clearTimeout(this.#timer);
    if (this.#host.ends(refusal)) return;
    // More rooms than a stream may have would be refused each time (SSE-1): polls have no such bound.
    if (refusal.code === 'limit_exceeded') this.#host.close(1006, refusal.code);
    const wait = Number(refusal.retry_after_ms ?? 0);
    this.#host.close(4002, `${refusal.code}${wait > 0 ? ` ${wait}` : ''}`);
  }

  #take(event: StreamEvent): void {
    if ('retryMs' in event) this.#retryMs = event.retryMs;
    else if ('comment' in event) this.#host.say({ op: 'ping' });
    else this.#event(event.event, JSON.parse(event.data) as Record<string, unknown>);
  }

  #event(name: string, data: Record<string, unknown>): void {
    const { rooms } = this.#host;
    const room = String(data.room);
    if (name === 'ready') {
      this.#expect('', SILENT_MS);
      this.#ready = data as { connection: string; secret: string };
    } else if (name === 'page' && rooms.has(room)) {
      rooms.set(room, String(data.position));
      this.#host.say({ ...data, op: 'page' });
    } else if (name === 'reset' && rooms.delete(room)) {
      this.#host.say({ ...data, op: 'reset' });
    }
  }
}
