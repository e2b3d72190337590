import type { RoomlogError } from '../client/error.js';
import { callOut, Derived, type Readable, type Unsubscribe, Value } from '../client/readable.js';
import type { Client, Room, RoomEvent } from '../client/types.js';

/** A page that a room is joined with has no more (JOIN-3). */
const MAX_PAGE = 500;

/** An event of a feed, with data of the feed's own type. */
export interface FeedEvent<T> extends RoomEvent {
  /** What was sent. */
  readonly data: T;
}

/** Which events a feed shows, and when it says that they no longer come. */
export interface FeedOptions {
  /** Only events of this type. Absent: all. */
  type?: string;
  /**
   * How many events are kept, the newest; so many, up to 500, are read at the start, and at most so many after a gap: what came before
   * them is skipped. 100.
   */
  limit?: number;
  /** After how many milliseconds without an event the feed is `stale`. 6,000. */
  staleAfterMs?: number;
  /**
   * For how many milliseconds a hidden tab goes on to follow; when it is seen again it reads what it has missed, the newest `limit`
   * events at most. False: for ever. 10,000.
   */
  pauseWhenHiddenMs?: number | false;
}

/** `connecting` until the room is there; `live` while events come; `stale` when none has come for `staleAfterMs`. */
export type FeedState = 'connecting' | 'live' | 'stale';

/** How a feed is. A new object for each change. */
export interface FeedStatus {
  /** Whether events come. */
  readonly state: FeedState;
  /** When the newest event was stored, by the server's clock. */
  readonly updatedAt: Date | undefined;
  /** Why the room is denied. */
  readonly error: RoomlogError | undefined;
}

/** A room that is only looked at. */
export interface Feed<T> {
  /** The room. */
  readonly id: string;
  /** The data of the newest event; undefined before there is one. */
  readonly latest: Readable<T | undefined>;
  /** The newest events, `limit` at most, the oldest first. A new array for each change; after a gap that was skipped it begins anew. */
  readonly events: Readable<readonly FeedEvent<T>[]>;
  /** Whether they come. */
  readonly status: Readable<FeedStatus>;
  /** Calls `fn` with each event from now on, until the Unsubscribe is called. */
  subscribe(fn: (event: FeedEvent<T>) => void): Unsubscribe;
  /** Leaves the room. What is shown stays. Calling it again does nothing. */
  close(): void;
}

class RoomFeed<T> implements Feed<T> {
  readonly id: string;
  readonly latest: Derived<T | undefined>;
  readonly events: Derived<readonly FeedEvent<T>[]>;
  readonly status: Value<FeedStatus>;

  readonly #room: Room<unknown>;
  readonly #options: Required<Omit<FeedOptions, 'type'>> & { type?: string };
  readonly #listeners = new Set<(event: FeedEvent<T>) => void>();
  readonly #stops: Unsubscribe[] = [];
  #kept: FeedEvent<T>[] = [];
  #newest: FeedEvent<T> | undefined;
  #detach: Unsubscribe | undefined;
  /** True while events are expected: one has come, or nothing has said yet that none does. */
  #fresh = true;
  #staleTimer: ReturnType<typeof setTimeout> | undefined;
  #hideTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, id: string, options: FeedOptions) {
    this.id = id;
    this.#options = { limit: 100, staleAfterMs: 6_000, pauseWhenHiddenMs: 10_000, ...options };
    const limit = Math.min(this.#options.limit, MAX_PAGE);
    this.#room = client.room<unknown>(id, { limit, replay: limit });
    this.latest = new Derived(() => this.#newest?.data);
    this.events = new Derived<readonly FeedEvent<T>[]>(() => [...this.#kept]);
    this.status = new Value(this.#look());
    const room = this.#room;
    this.#stops.push(
      room.on('event', event => this.#take(event as FeedEvent<T>)),
      room.on('reset', () => this.#begin()),
      room.status.subscribe(() => this.#joined()),
      whenHiddenChanges(hidden => (hidden ? this.#hide() : this.#follow())),
    );
    this.#follow();
  }

  subscribe(fn: (event: FeedEvent<T>) => void): Unsubscribe {
    const listener = (event: FeedEvent<T>) => fn(event);
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    for (const stop of this.#stops.splice(0)) stop();
    this.#leave();
    clearTimeout(this.#staleTimer);
  }

  // ---- a tab that nobody sees ----

  #follow(): void {
    clearTimeout(this.#hideTimer);
    this.#detach ??= this.#room.attach();
  }

  #hide(): void {
    const { pauseWhenHiddenMs } = this.#options;
    if (pauseWhenHiddenMs !== false) this.#hideTimer = setTimeout(() => this.#leave(), pauseWhenHiddenMs);
  }

  #leave(): void {
    clearTimeout(this.#hideTimer);
    this.#detach?.();
    this.#detach = undefined;
  }

  // ---- what comes in ----

  #take(event: FeedEvent<T>): void {
    const { type = event.type, limit, staleAfterMs } = this.#options;
    if (event.type !== type || event.deleted) return;
    this.#newest = event;
    this.#kept.push(event);
    // A tenth too many, so that not each event moves all others.
    if (this.#kept.length > limit * 1.1) this.#kept = this.#kept.slice(-limit);
    this.latest.invalidate();
    this.events.invalidate();
    // One that was there before says nothing of now but by clocks, which may differ: the next one to come sets that right.
    const age = event.via === 'live' ? 0 : Math.max(0, Date.now() - event.at.getTime());
    this.#expect(staleAfterMs - age);
    for (const listener of [...this.#listeners]) callOut(listener, event);
  }

  /** The log went on elsewhere, or too much was missed: what is kept has a gap behind it. */
  #begin(): void {
    this.#kept = [];
    this.#newest = undefined;
    this.latest.invalidate();
    this.events.invalidate();
  }

  #joined(): void {
    if (this.#staleTimer === undefined && this.#room.status.get().loaded)
      this.#expect(this.#options.staleAfterMs);
    this.status.update(this.#look());
  }

  /** Events are expected for so long from now on. */
  #expect(ms: number): void {
    clearTimeout(this.#staleTimer);
    this.#fresh = ms > 0;
    this.#staleTimer = setTimeout(
      () => {
        this.#fresh = false;
        this.status.update(this.#look());
      },
      Math.max(ms, 0),
    );
    this.status.update(this.#look());
  }

  #look(): FeedStatus {
    const { loaded, error } = this.#room.status.get();
    const state = this.#fresh && !error ? (loaded ? 'live' : 'connecting') : 'stale';
    return { state, updatedAt: this.#newest?.at, error };
  }
}

/** Browsers only; elsewhere nobody looks, or somebody always does. */
function whenHiddenChanges(fn: (hidden: boolean) => void): Unsubscribe {
  if (typeof document === 'undefined') return () => {};
  const look = () => fn(document.visibilityState === 'hidden');
  document.addEventListener('visibilitychange', look);
  if (document.visibilityState === 'hidden') queueMicrotask(look);
  return () => document.removeEventListener('visibilitychange', look);
}

/**
 * Follows a room to show what comes, over whichever transport the client has; a token that may only read is enough. It attaches the room,
 * and connects if need be, until `close()`. The room's options are those of the feed, unless `client.room(id)` was called before.
 */
export function openFeed<T = unknown>(client: Client, id: string, options: FeedOptions = {}): Feed<T> {
  return new RoomFeed<T>(client, id, options);
}
