import { type Later, later } from '../transport/later.js';
import type { Kept } from './kept.js';
import type { Entry, Outbox } from './outbox.js';
import type { RequestNeeds } from './request.js';
import type { Session } from './session.js';
import type { ClientStorage, StoredWindow } from './storage.js';

/** What a keeper asks of a room. */
export interface KeptRoom {
  readonly outbox: Outbox;
  /** Shows nothing of what another user was given. */
  clear(): void;
}

/** What a keeper needs. */
export interface KeeperNeeds {
  storage: ClientStorage | undefined;
  session: Session;
  requests: RequestNeeds;
  rooms(): Iterable<KeptRoom>;
  /** The sends of a room, to put a kept one back. */
  outbox(room: string): Outbox;
}

/**
 * Keeps sends, and windows of rooms, in the storage of the user whose they are, by code that is loaded where there is a storage. Without one
 * it keeps nothing.
 */
export class Keeper {
  /** Whether the storage was asked for what was kept: what is sent before that would overtake it. */
  hasLooked: boolean;

  readonly #needs: KeeperNeeds;
  #user: string | undefined;
  #isOpen = false;
  readonly #kept: Later<Kept>;
  #order = 0;

  constructor(needs: KeeperNeeds) {
    this.#needs = needs;
    this.hasLooked = !needs.storage;
    const looked = () => {
      this.hasLooked = true;
      for (const { outbox } of needs.rooms()) outbox.up();
    };
    const failed = (cause: unknown) => needs.session.log('warn', 'storage', { why: String(cause) });
    this.#kept = later(
      async () => new (await import('./kept.js')).Kept({ ...needs, keeper: this, looked, failed }),
      cause => {
        looked(); // the client goes on as without a storage
        failed(cause);
      },
    );
  }

  /** The user is known, or is another. */
  use(user: string): void {
    const { rooms, storage } = this.#needs;
    const before = this.#user;
    this.#user = user;
    void this.tell(kept => kept.use(user));
    if (user !== before || !this.#isOpen) {
      this.#isOpen = true;
      this.hasLooked = !storage;
      for (const room of rooms()) {
        if (user !== (before ?? user)) room.clear();
        room.outbox.claim(user);
      }
    }
  }

  /** Tells the code that keeps, in the order of the calls. */
  async tell<R>(what: (kept: Kept) => R | Promise<R>): Promise<R | undefined> {
    return this.#needs.storage && this.#kept(what);
  }

  /** Lets go of what is kept. Resolves when all of it is written, or within a second. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.hasLooked = !this.#needs.storage;
    await this.tell(kept => kept.close());
  }

  /** Whether windows are kept: not before the user is known. */
  get keepsWindows(): boolean {
    return this.#isOpen && !!this.#needs.storage;
  }

  /** The window of a room that was kept, if there is one. It never rejects. */
  readWindow(room: string): Promise<StoredWindow | undefined> {
    return this.tell(kept => kept.recent(room).read());
  }

  /** A place behind all others, also those of earlier pages and of a clock that was ahead. */
  nextOrder(seen = 0): number {
    this.#order = Math.max(this.#order + 1, Date.now(), seen);
    return this.#order;
  }

  /** Keeps an entry as it is. */
  keep(room: string, entry: Entry): void {
    void this.tell(kept => kept.keep(room, entry));
  }

  /** The entry is stored by the server, or discarded. */
  forget(room: string, entry: Entry): void {
    void this.tell(kept => kept.forget(room, entry));
  }
}
