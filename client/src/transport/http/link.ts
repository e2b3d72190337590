import type { Cursor } from '../../protocol/check.js';
import type { Link, LinkEvents } from '../transport.js';
import { type Ask, asker, claims, type Fetch, problem } from './exchange.js';
import { type SendFrame, Sends } from './sends.js';

/** What brings in the pages of the rooms that a link follows. */
export interface Feed {
  /** The rooms or their positions are others than before: begin anew from where they are. */
  changed(): void;
  /** Asks the server for a sign of life; rejects or answers false where there is none. */
  probe(): Promise<boolean>;
  stop(): void;
}

/** Up to where a room's pages were given. */
export interface Place extends Cursor {
  readonly position: string;
}

/** What a feed needs of its link. */
export interface FeedHost {
  readonly api: string;
  readonly fetch: Fetch;
  readonly token: string;
  /** The rooms that are followed, and where each stands. */
  readonly rooms: Map<string, Place>;
  readonly over: AbortSignal;
  ask: Ask;
  /** Gives the client a frame, as a WebSocket would. */
  say(frame: object): void;
  /** Ends the link for what the server answered; false for a problem that concerns one room only. */
  ends(problem: { code: string }): boolean;
  /** Ends the link. */
  close(code: number, reason: string): void;
}

/** The frames that a link understands. */
type Frame =
  | { op: 'hello' | 'refresh'; token: string }
  | { op: 'join'; id: number; room: string; position?: string; limit?: number; replay?: number }
  | { op: 'leave'; room: string }
  | { op: 'ping' | 'pong' }
  | SendFrame;

/** Close codes by error code (CLOSE-1); others are 4002 where a retry helps, else 4500. */
const CLOSE_CODES: Record<string, number> = {
  unauthenticated: 4501,
  auth_timeout: 4501,
  token_expired: 4501,
  revoked: 4503,
  unsupported_version: 4510,
};

/** The latest page is the one before the end of all seqs. */
const LATEST = `before=${Number.MAX_SAFE_INTEGER}`;

/**
 * A link over plain HTTP that speaks the frames of a WebSocket: joins are reads (POLL-1), sends are requests (HTTP-1),
 * and a feed brings in what follows. So nothing above it knows which transport there is.
 */
export class HttpLink implements Link, FeedHost {
  readonly api: string;
  readonly fetch: Fetch;
  readonly rooms = new Map<string, Place>();
  token = '';
  ask: Ask = () => Promise.reject(new Error('hello comes first'));

  readonly #events: LinkEvents;
  readonly #pingMs: number;
  readonly #feed: Feed;
  readonly #abort = new AbortController();
  /** The last join of each room: the answer to an earlier one is of no use. */
  readonly #joins = new Map<string, number>();
  #sends: Sends | undefined;

  /** `pingMs` is how often the feed gives a sign of life at least; the token comes with the hello. */
  constructor(api: string, fetch: Fetch, events: LinkEvents, pingMs: number, feed: (host: FeedHost) => Feed) {
    this.api = api;
    this.fetch = fetch;
    this.#events = events;
    this.#pingMs = pingMs;
    this.#feed = feed(this);
    queueMicrotask(() => this.over.aborted || events.open());
  }

  get over(): AbortSignal {
    return this.#abort.signal;
  }

  send(text: string): void {
    if (this.over.aborted) return;
    const frame = JSON.parse(text) as Frame;
    if (frame.op === 'hello') void this.#hello(frame.token);
    else if (frame.op === 'refresh') this.token = frame.token;
    else if (frame.op === 'send') this.#sends?.take(frame);
    else if (frame.op === 'join') void this.#join(frame);
    else if (frame.op === 'leave') this.#leave(frame.room);
    else if (frame.op === 'ping') void this.#ping();
  }

  drop(): void {
    this.#abort.abort();
    this.#feed.stop();
  }

  say(frame: object): void {
    if (!this.over.aborted) this.#events.message(JSON.stringify(frame));
  }

  close(code: number, reason: string): void {
    if (this.over.aborted) return;
    this.drop();
    this.#events.closed(code, reason);
  }

  ends(refusal: { code: string }): boolean {
    if (!Object.hasOwn(CLOSE_CODES, refusal.code)) return false;
    this.#refuse(refusal);
    return true;
  }

  /** There is no connection to greet: whether the token is good is seen by a request that any token may make. */
  async #hello(token: string): Promise<void> {
    this.token = token;
    this.ask = asker(this.api, this.fetch, () => this.token, this.over);
    const answer = await this.#answer('/v1/rooms?limit=1');
    if (!answer) return;
    // A login page of a network is an answer too, but not the server's.
    if (!answer.ok || !answer.body) {
      this.#refuse(problem(answer, 'unavailable'));
      return;
    }
    this.#sends = new Sends({
      ask: this.ask,
      say: frame => this.say(frame),
      ends: refusal => this.ends(refusal),
      cut: () => this.close(1006, ''),
    });
    const user = String(claims(token).sub ?? '');
    this.say({ op: 'welcome', connection: '', user, ping_ms: this.#pingMs, version: 1, limits: {} });
  }

  #refuse(refusal: Record<string, unknown> & { code: string }): void {
    this.say({ op: 'error', title: refusal.code, retryable: false, ...refusal, id: undefined });
    const known = Object.hasOwn(CLOSE_CODES, refusal.code) && CLOSE_CODES[refusal.code];
    const code = known || (refusal.retryable ? 4002 : 4500);
    this.close(code, [refusal.code, refusal.retry_after_ms].filter(Boolean).join(' '));
  }

  async #answer(path: string) {
    try {
      return await this.ask(path);
    } catch {
      this.close(1006, '');
      return undefined;
    }
  }

  async #join({ id, room, position, limit, replay }: Extract<Frame, { op: 'join' }>): Promise<void> {
    this.#joins.set(room, id);
    const events = `/v1/rooms/${encodeURIComponent(room)}/events`;
    const latest = `${events}?${LATEST}&limit=${limit || 100}`;
    let path = latest;
    if (position !== undefined) path = `${events}?after=${encodeURIComponent(position)}&limit=500`;
    let answer = await this.#answer(path);
    let reason: unknown;
    if (position !== undefined && answer) {
      const { head, prev } = (answer.body ?? {}) as { head: number; prev: number };
      if (answer.body?.code === 'reset') reason = answer.body.reason;
      else if (answer.ok && replay !== undefined && head - prev > replay) reason = 'too_far'; // JOIN-6
      if (reason !== undefined) answer = await this.#answer(latest);
    }
    if (!answer || this.#joins.get(room) !== id) return;
    if (!answer.ok || !answer.body) {
      const refusal = problem(answer, 'unavailable');
      if (!this.ends(refusal)) this.say({ ...refusal, id, room });
      return;
    }
    const { epoch, floor, head, prev, seq, position: at, events: list } = answer.body;
    this.rooms.set(room, { epoch: String(epoch), seq: Number(seq), position: String(at) });
    this.say({
      op: 'joined',
      id,
      room,
      epoch,
      floor,
      head,
      page: { prev, seq, position: at, events: list },
      ...(reason !== undefined && { reset: { reason } }),
    });
    this.#feed.changed();
  }

  #leave(room: string): void {
    this.#joins.delete(room);
    if (this.rooms.delete(room)) this.#feed.changed();
  }

  async #ping(): Promise<void> {
    if (await this.#feed.probe().catch(() => false)) this.say({ op: 'pong' });
  }
}
