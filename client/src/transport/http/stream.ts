import type { Transport } from '../transport.js';
import { asker, isThere, problem } from './exchange.js';
import { type Feed, type FeedHost, HttpLink, type HttpNeeds } from './link.js';
import type { RoomPage } from './read.js';
import type { SourceHost } from './shared.js';
import { type StreamEvent, streamParser } from './sse.js';

/** A comment comes at least so often (SSE-9). */
const COMMENT_MS = 15_000;
/** A stream that has not said `ready` by then is held back on the way. */
const READY_MS = 5_000;
/** A stream that ends is taken up again, unless it is the third in a row that held no longer than this. */
const HELD_MS = 10_000;
const MAX_ENDS = 3;
/** What comes as it is (SIDE-2, RCPT-4, PART-9, MEM-12). */
const SIDES = ['presence', 'signals', 'receipts', 'marked', 'part', 'me'];
/** The longest wait before a stream that was refused is asked for again; the first is a second. */
const MAX_REFUSED_MS = 30_000;

/** Server-sent events as a transport: pages by one stream for all rooms, the rest by request. */
export async function transport(needs: HttpNeeds): Promise<Transport> {
  const { sharedFeed } = await import('./shared.js');
  const feed = (host: FeedHost) => sharedFeed(host, 'sse', COMMENT_MS, inner => new StreamFeed(inner));
  return { dial: events => new HttpLink(needs, events, COMMENT_MS, feed) };
}

/** What a stream begins with (SSE-2). */
interface Ready {
  connection: string;
  secret: string;
  /** When it came. */
  at: number;
}

/** One stream for the rooms of a link. The rooms are those of its URL (SESS-4), so other rooms are another stream. */
class StreamFeed implements Feed {
  readonly #host: SourceHost;
  #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ready: Ready | undefined;
  #retryMs: number | undefined;
  #refusals = 0;
  /** Of the ends in a row, whether it had become ready. */
  #ends: boolean[] = [];

  constructor(host: SourceHost) {
    this.#host = host;
  }

  /** Rooms are joined in bunches. */
  changed(): void {
    this.#openIn(0);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#ready = undefined;
    this.#abort.abort();
  }

  /** The stream's own connection answers, so a stream that the server has lost is found out (SESS-2). */
  async probe(): Promise<boolean> {
    const { api, fetch, over } = this.#host;
    if (!this.#ready) return isThere(api, fetch, over);
    return (await this.#command({ op: 'ping' })).ok;
  }

  async #command(frame: object) {
    const { api, fetch, over } = this.#host;
    const { connection, secret } = this.#ready as Ready;
    const path = `/v1/connections/${encodeURIComponent(connection)}`;
    const { signal } = this.#abort;
    const answer = await asker(api, fetch, () => secret, over)(path, { body: JSON.stringify(frame), signal });
    const isLost = answer.status === 404 && answer.body?.op !== 'error';
    if (isLost && this.#ready?.connection === connection) this.#host.close(1006, '');
    return answer;
  }

  /** The old stream says nothing more, since its pages adjoin the old positions. */
  #openIn(ms: number): void {
    this.stop();
    this.#abort = new AbortController();
    this.#timer = setTimeout(() => {
      const { rooms, sides } = this.#host;
      if (rooms.size + sides.length > 0) void this.#open(this.#abort.signal);
    }, ms);
  }

  async #open(signal: AbortSignal): Promise<void> {
    const { api, fetch, token, rooms, sides, over } = this.#host;
    const names = [...rooms.keys()].map(room => ['room', room]);
    // One room's id is its position, that of several names them (SSE-4).
    const at = [...rooms].map(([room, { position }]) =>
      rooms.size === 1 ? position : `${room}=${position}`,
    );
    const search = new URLSearchParams([...names, ...sides]);
    this.#timer = setTimeout(() => this.#host.close(1006, 'buffered'), READY_MS);
    try {
      const answer = await fetch(`${api}/v1/sse?${search}`, {
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'text/event-stream',
          ...(at.length > 0 && { 'last-event-id': at.join(',') }),
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
        for (const event of parse(value)) if (!signal.aborted) this.#take(event);
      }
    } catch {
      // Cut, or given up by us.
    }
    if (!signal.aborted) this.#ended();
  }

  /**
   * Proxies cut what is open for long, and a stream, or what takes it up again, may be on a connection that has long been
   * open. That is not the end of the link yet.
   */
  #ended(): void {
    if (this.#retryMs !== undefined) {
      this.#host.close(1012, `going_away ${this.#retryMs}`); // SSE-10
      return;
    }
    if (this.#ready && performance.now() - this.#ready.at >= HELD_MS) this.#ends = [];
    this.#ends.push(this.#ready !== undefined);
    if (this.#ends.length < MAX_ENDS) this.#openIn(Math.random() * 250);
    else this.#host.close(1006, this.#ends.filter(ready => ready).length > 1 ? 'cut short' : '');
  }

  /** A stream is refused as a whole for one room of many (SSE-1): which one, a read of each tells. */
  #refused(refusal: Record<string, unknown> & { code: string }): void {
    clearTimeout(this.#timer);
    if (this.#host.ends(refusal)) return;
    if (this.#host.goesBare(refusal)) {
      this.#openIn(0);
      return;
    }
    // More rooms than a stream may have would be refused each time (SSE-1): polls have no such bound.
    if (refusal.code === 'limit_exceeded') {
      this.#host.close(1006, refusal.code);
      return;
    }
    if (refusal.retryable) {
      const wait = Number(refusal.retry_after_ms ?? 0);
      this.#host.close(4002, `${refusal.code}${wait > 0 ? ` ${wait}` : ''}`);
      return;
    }
    this.#openIn(Math.min(MAX_REFUSED_MS, 1_000 * 2 ** this.#refusals++));
    this.#host.doubt();
  }

  #take(event: StreamEvent): void {
    // The one before `ready` is for the browser's own EventSource.
    if ('retryMs' in event) this.#retryMs = this.#ready && event.retryMs;
    else if ('comment' in event) this.#host.say({ op: 'ping' });
    else this.#event(event.event, JSON.parse(event.data) as Record<string, unknown>);
  }

  #event(name: string, data: Record<string, unknown>): void {
    const { rooms } = this.#host;
    const room = String(data.room);
    if (name === 'ready') {
      clearTimeout(this.#timer);
      this.#refusals = 0;
      this.#ready = { ...(data as unknown as Ready), at: performance.now() };
      this.#host.say({ op: 'degraded', parts: [], node: data.node });
      this.#host.say({ op: 'ping' });
      this.#host.opened(this.#ready.connection, frame => this.#command(frame), this.#abort.signal);
    } else if (name === 'degraded') {
      this.#host.say({ ...data, op: 'degraded' });
    } else if (name === 'page' && rooms.has(room)) {
      const { epoch, seq, position } = data as unknown as RoomPage;
      rooms.set(room, { epoch, seq, position });
      this.#host.say({ ...data, op: 'page' });
    } else if (name === 'reset' && rooms.delete(room)) {
      this.#host.say({ ...data, op: 'reset' });
    } else if (SIDES.includes(name)) {
      this.#host.say({ ...data, op: name });
    }
  }
}
