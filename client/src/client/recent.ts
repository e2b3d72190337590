import { isPage } from '../protocol/check.js';
import type { Page, WireEvent } from '../protocol/frames.js';
import type { Keeper } from './keeper.js';
import type { StoredWindow } from './storage.js';

/** How many events of a room are kept: some screens. */
const KEPT = 200;
/** How long changes gather until they are written. What is lost with a page is replayed by the server. */
const GATHER_MS = 500;
/** How long the storage may take to give a window; then the room is joined without. */
const READ_MS = 1_000;

/** The newest events of one room, kept together with the position behind them, so that a reload goes on from there. */
export class Recent {
  readonly #room: string;
  readonly #keeper: Keeper;
  #events: WireEvent[] = [];
  #window: Omit<StoredWindow, 'prev' | 'events'> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(room: string, keeper: Keeper) {
    this.#room = room;
    this.#keeper = keeper;
  }

  /** The window that was kept, if there is one. It never rejects. */
  async read(): Promise<StoredWindow | undefined> {
    let giveUp = () => {};
    const late = new Promise<undefined>(resolve => {
      giveUp = () => resolve(undefined);
    });
    const timer = setTimeout(giveUp, READ_MS);
    const window = await Promise.race([this.#keeper.readWindow(this.#room), late]);
    clearTimeout(timer);
    return isPage(window) ? window : undefined;
  }

  /** The window begins anew. */
  replaced(): void {
    this.#events = [];
  }

  /** A page was taken. */
  took({ events, seq, position }: Page, epoch: string, floor: number): void {
    if (!this.#keeper.keepsWindows) return;
    this.#events = [...this.#events, ...events].slice(-KEPT);
    this.#window = { room: this.#room, epoch, floor, seq, position };
    this.#timer ??= setTimeout(() => this.write(), GATHER_MS);
  }

  /** Writes what has gathered. */
  write(): void {
    if (this.#timer === undefined || !this.#window) return;
    this.#stop();
    const { seq } = this.#window;
    this.#keeper.keepWindow({
      ...this.#window,
      prev: seq - this.#events.length,
      events: this.#events,
    });
  }

  /** The room is no longer this user's to read: nothing of it stays. */
  drop(): void {
    this.#stop();
    this.#events = [];
    this.#window = undefined;
    this.#keeper.forgetWindow(this.#room);
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
