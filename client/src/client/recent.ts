import type { Page, WireEvent } from '../protocol/frames.js';
import type { Kept } from './kept.js';
import { fold, type Stored } from './state/fold.js';
import type { StoredWindow } from './storage.js';

/** How many events of a room are kept: some screens. */
const KEPT = 200;
/** How long changes gather until they are written. What is lost with a page is replayed by the server. */
const GATHER_MS = 500;
/** How long the storage may take to give a window where there is a connection; then the room is joined without. */
const READ_MS = 1_000;

/** The newest events of one room, kept together with the position behind them, so that a reload goes on from there. */
export class Recent {
  readonly #room: string;
  readonly #kept: Kept;
  #events: WireEvent[] = [];
  /** The room's state, as its pages tell it. */
  readonly #state: Stored = new Map();
  /** What is kept begins behind this seq. */
  #prev = 0;
  #window: Omit<StoredWindow, 'prev' | 'events'> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(room: string, kept: Kept) {
    this.#room = room;
    this.#kept = kept;
  }

  /** The window that was kept, if there is one. It never rejects. */
  async read(): Promise<StoredWindow | undefined> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>(resolve => {
      const look = () => {
        timer = setTimeout(() => (this.#kept.canJoin ? resolve(undefined) : look()), READ_MS);
      };
      look();
    });
    const window = await Promise.race([this.#kept.readWindow(this.#room), late]);
    clearTimeout(timer);
    return window;
  }

  /** The window begins anew. */
  replaced(): void {
    this.#events = [];
    this.#state.clear();
    this.#window = undefined;
  }

  /** A page was taken. */
  took(page: Page, epoch: string, floor: number): void {
    if (!this.#kept.keepsWindows) return;
    const { events, prev, seq, position } = page;
    if (!this.#window) this.#prev = prev;
    const all = events.reduce(redacted, [...this.#events, ...events]);
    this.#events = all.slice(-KEPT);
    if (all.length > KEPT) this.#prev = (this.#events[0] as WireEvent).seq - 1;
    fold(this.#state, page);
    this.#window = { room: this.#room, epoch, floor, seq, position };
    this.#timer ??= setTimeout(() => this.write(), GATHER_MS);
  }

  /** Writes what has gathered. */
  write(): void {
    if (this.#timer === undefined) return;
    this.#stop();
    if (!this.#window) return;
    this.#kept.keepWindow({
      ...this.#window,
      prev: this.#prev,
      events: this.#events,
      ...(this.#state.size > 0 && { full: true, state: Object.fromEntries(this.#state) }),
      ...(this.#window.seq > this.#prev + this.#events.length && { docs: true }),
    });
  }

  /** The room is no longer this user's to read: nothing of it stays. */
  drop(): void {
    this.#stop();
    this.#events = [];
    this.#state.clear();
    this.#window = undefined;
    this.#kept.forgetWindow(this.#room);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/**
 * What is kept after an event: of what it deletes or erases nothing is left but the place (CHG-7, ERASE-2), nor of edits of messages that are not
 * kept, where it is not known whose they are.
 */
function redacted(events: WireEvent[], { type, seq, author, at, target, data }: WireEvent): WireEvent[] {
  const isErase = type === 'erase';
  if (type !== 'delete' && !isErase) return events;
  const { user } = Object(data);
  const gone = new Set(
    isErase
      ? events
          .filter(
            each => each.author === user && each.seq < seq && !/^(delete|member|erase)$/.test(each.type),
          )
          .map(each => each.seq)
      : [target as number], // its edits may be kept where it is not
  );
  const first = events[0]?.seq as number;
  const isGone = (event: WireEvent) =>
    gone.has(event.seq) ||
    (event.type === 'edit' &&
      (gone.has(event.target as number) ||
        (isErase && event.seq < seq && !((event.target as number) >= first))));
  const deleted = { seq, by: author, at };
  return events.map(event => (isGone(event) ? { ...event, data: null, deleted } : event));
}
