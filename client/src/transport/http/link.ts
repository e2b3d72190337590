import type { Cursor, isPage } from '../../protocol/check.js';
import type { Link, LinkEvents } from '../transport.js';
import { type Ask, asker, claims, type Fetch, problem } from './exchange.js';
import { type SendFrame, Sends } from './sends.js';

/** What a transport over plain HTTP is made of. */
export interface HttpNeeds {
  /** The API's root. */
  api: string;
  fetch: Fetch;
  isPage: typeof isPage;
}

/** What brings in the pages of the rooms that a link follows, and what they show beside them. */
export interface Feed {
  /** The rooms, their positions or the sides that are asked for are others than before: begin anew from where they are. */
  changed(): void;
  /** Asks the server for a sign of life; rejects or answers false where there is none. */
  probe(): Promise<boolean>;
  stop(): void;
}

/** A feed that takes what is beside the logs. */
export interface SidesFeed extends Feed {
  /** What is shown of us is another than before; `again` names sides that are to be given as a whole, as `SIDE ROOM`. */
  shows(again?: readonly string[]): void;
}

/** Up to where a room's pages were given. */
export interface Place extends Cursor {
  readonly position: string;
}

/** What is asked of a room beside its log, and what is shown there of us (SIDE-1). Of the room '', the client's own rooms. */
export interface Aside {
  /** The sides; of the room '' it is `me`. */
  with: readonly string[];
  /** Whether we are in its presence. */
  present: boolean;
  /** Whether nobody looks at the page. */
  idle: boolean;
  /** By what tells them apart: presence data and signals, as frames without their room, and when each was last said. */
  shown: ReadonlyMap<string, { at: number; frame: { op: string; [field: string]: unknown } }>;
}

/** By room. */
export type Asides = ReadonlyMap<string, Aside>;

/** What a feed needs of its link. */
export interface FeedHost {
  readonly api: string;
  readonly fetch: Fetch;
  /** Handed down from the core: see `core` of the client. */
  readonly isPage: typeof isPage;
  readonly token: string;
  /** The rooms that are followed, and where each stands. */
  readonly rooms: Map<string, Place>;
  /** What is asked beside their logs. */
  readonly asides: Asides;
  /** The highest seq of each room that was acked on this link: any node answers with it (NODE-4). */
  readonly acked: ReadonlyMap<string, number>;
  readonly over: AbortSignal;
  ask: Ask;
  /** Gives the client a frame, as a WebSocket would. */
  say(frame: object): void;
  /** Ends the link for what the server answered; false for a problem that concerns one room only. */
  ends(problem: { code: string }): boolean;
  /** Ends the link. */
  close(code: number, reason: string): void;
}

/** A frame that concerns a room beside its log (SIDE-7), or the client's own rooms. */
export interface AsideFrame {
  op: 'presence' | 'signal' | 'read' | 'sync' | 'me';
  room: string;
  [field: string]: unknown;
}

/** The frames that a link understands. */
type Frame =
  | { op: 'hello' | 'refresh'; token: string }
  | {
      op: 'join';
      id: number;
      room: string;
      position?: string;
      limit?: number;
      replay?: number;
      seen?: number;
      with?: string[];
    }
  | { op: 'leave'; room: string }
  | AsideFrame
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
  readonly isPage: typeof isPage;
  readonly rooms = new Map<string, Place>();
  readonly asides = new Map<string, Aside>();
  readonly acked = new Map<string, number>();
  token = '';
  ask: Ask = () => Promise.reject(new Error('hello comes first'));

  readonly #events: LinkEvents;
  readonly #pingMs: number;
  readonly #feed: SidesFeed;
  readonly #abort = new AbortController();
  /** The last join of each room: the answer to an earlier one is of no use. */
  readonly #joins = new Map<string, number>();
  #sends: Sends | undefined;
  #sides: Promise<{ take(frame: object): void }> | undefined;

  /** `pingMs` is how often the feed gives a sign of life at least; the token comes with the hello. */
  constructor(
    { api, fetch, isPage }: HttpNeeds,
    events: LinkEvents,
    pingMs: number,
    feed: (host: FeedHost) => SidesFeed,
  ) {
    this.api = api;
    this.fetch = fetch;
    this.isPage = isPage;
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
    else if (frame.op !== 'pong') void this.#aside(frame);
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
      say: frame => {
        const { op, room, seq } = frame as { op: string; room: string; seq: number };
        if (op === 'ack' && seq > (this.acked.get(room) ?? 0)) this.acked.set(room, seq);
        this.say(frame);
      },
      ends: refusal => this.ends(refusal),
      cut: () => this.close(1006, ''),
    });
    const user = String(claims(token).sub ?? '');
    this.say({
      op: 'welcome',
      connection: '',
      user,
      ping_ms: this.#pingMs,
      version: 1,
      limits: {},
      node: answer.node,
    });
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

  async #join(frame: Extract<Frame, { op: 'join' }>): Promise<void> {
    const { id, room, position, limit, replay, seen } = frame;
    this.#joins.set(room, id);
    const events = `/v1/rooms/${encodeURIComponent(room)}/events`;
    const latest = `${events}?${LATEST}&limit=${limit || 100}`;
    let isLatest = position === undefined;
    let path = latest;
    if (position !== undefined) path = `${events}?after=${encodeURIComponent(position)}&limit=500`;
    if (position !== undefined && seen) path += `&seen=${seen}`;
    let answer = await this.#answer(path);
    let reason: unknown;
    if (position !== undefined && answer) {
      const { head, prev } = (answer.body ?? {}) as { head: number; prev: number };
      if (answer.body?.code === 'reset') reason = answer.body.reason;
      else if (answer.ok && replay !== undefined && head - prev > replay) reason = 'too_far'; // JOIN-6
      isLatest = reason !== undefined;
      if (isLatest) answer = await this.#answer(latest);
    }
    if (!answer || this.#joins.get(room) !== id) return;
    if (!answer.ok || !answer.body) {
      const refusal = problem(answer, 'unavailable');
      if (!this.ends(refusal)) this.say({ ...refusal, id, room });
      return;
    }
    const { epoch, floor, head, seq, position: at } = answer.body;
    if (frame.with) await this.#aside(frame); // so that the feed begins with it
    const state = isLatest
      ? await import('./state.js')
          .then(({ readState }) => readState(this, room, id, Number(seq)))
          .catch(() => this.close(1006, ''))
      : {};
    if (!state) return;
    if (this.#joins.get(room) !== id) return;
    this.rooms.set(room, { epoch: String(epoch), seq: Number(seq), position: String(at) });
    this.say({
      op: 'joined',
      id,
      room,
      epoch,
      floor,
      head,
      // What is read before a seq is present content (CHG-9), as of the head.
      page: { ...answer.body, head: isLatest ? head : undefined, ...state },
      ...(reason !== undefined && { reset: { reason } }),
    });
    this.#feed.changed();
  }

  #leave(room: string): void {
    this.#joins.delete(room);
    this.asides.delete(room);
    if (this.rooms.delete(room)) this.#feed.changed();
  }

  /** What concerns rooms beside their logs is done by code that is loaded for it. */
  async #aside(frame: object): Promise<void> {
    this.#sides ??= import('./asides.js').then(
      ({ OwnAsides }) => new OwnAsides(this, this.asides, this.#feed),
    );
    const sides = await this.#sides.catch(() => {
      this.#sides = undefined;
    });
    if (!this.over.aborted) sides?.take(frame);
  }

  async #ping(): Promise<void> {
    if (await this.#feed.probe().catch(() => false)) this.say({ op: 'pong' });
  }
}
