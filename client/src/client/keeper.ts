import type { Refusal, RoomlogError } from './error.js';
import type { Entry, Outbox } from './outbox.js';
import type { ClientStorage, SendBox, StoredSend, StoredWindow, WindowBox } from './storage.js';

/** How long a storage may hold anything up. */
const LATE_MS = 1_000;

/** What a keeper asks of a room. */
export interface KeptRoom {
  readonly outbox: Outbox;
  /** Writes what has gathered. */
  write(): void;
  /** Shows nothing of what another user was given. */
  clear(): void;
}

/** What a keeper needs. */
export interface KeeperNeeds {
  storage: ClientStorage | undefined;
  /** The API's root. */
  server(): string;
  rooms(): Iterable<KeptRoom>;
  /** Puts a kept send back into its room. */
  restore(send: StoredSend): void;
  isUp(): boolean;
  failed(cause: unknown): void;
}

/** Keeps sends, and windows of rooms, in the storage of the user whose they are. Without a storage it keeps nothing. */
export class Keeper {
  readonly #needs: KeeperNeeds;
  #user: string | undefined;
  #box: SendBox | undefined;
  /** The box, also once it is closed: what is discarded then is to be forgotten all the same. */
  #last: SendBox | undefined;
  /** Whether the storage was asked for what was kept: what is sent before that would overtake it. */
  hasLooked = true;
  #windows: WindowBox | undefined;
  #order = 0;

  constructor(needs: KeeperNeeds) {
    this.#needs = needs;
  }

  /** The user is known, or is another. */
  use(user: string): void {
    const { storage, server, rooms, restore, isUp, failed } = this.#needs;
    if (user !== this.#user || !this.#box) {
      void this.close();
      if (this.#user !== undefined && user !== this.#user) for (const room of rooms()) room.clear();
      this.#user = user;
      const owner = storage && { server: server(), user };
      this.#windows = owner && storage.windows(owner, failed);
      const box =
        owner &&
        storage.sends(owner, {
          isUp,
          failed,
          adopted: sends => {
            // Found by a box that was let go of meanwhile: those are another user's, and stay theirs.
            if (box === this.#box) for (const send of sends) restore(send);
          },
        });
      this.#box = this.#last = box;
      for (const { outbox } of rooms()) outbox.claim(user);
      this.hasLooked = !box;
      void inTime(box?.adopt()).then(() => {
        if (box !== this.#box) return;
        this.hasLooked = true;
        for (const { outbox } of rooms()) outbox.up();
      });
    } else void this.#box.adopt();
  }

  /** Lets go of what is kept. Resolves when all of it is written, or within a second. */
  async close(): Promise<void> {
    const boxes = [this.#windows, this.#box];
    if (!this.#box) return;
    for (const room of this.#needs.rooms()) room.write();
    this.#windows = this.#box = undefined;
    await inTime(Promise.all(boxes.map(box => box?.close())));
  }

  /** Whether windows are kept: not before the user is known. */
  get keepsWindows(): boolean {
    return this.#windows !== undefined;
  }

  async readWindow(room: string): Promise<StoredWindow | undefined> {
    return this.#windows?.read(room);
  }

  keepWindow(window: StoredWindow): void {
    this.#windows?.put(window);
  }

  forgetWindow(room: string): void {
    this.#windows?.delete(room);
  }

  /** A place behind all others, also those of earlier pages and of a clock that was ahead. */
  nextOrder(seen = 0): number {
    this.#order = Math.max(this.#order + 1, Date.now(), seen);
    return this.#order;
  }

  /** Keeps an entry as it is. One of somebody else stays as their own box has it. */
  keep(room: string, entry: Entry): void {
    const { tag, type, json, order, unsure, state, error, author } = entry;
    if (author === undefined || author !== this.#user) return;
    this.#box?.put({
      room,
      tag,
      type,
      json,
      at: entry.at.getTime(),
      order,
      tried: unsure > 0,
      refusal: state === 'failed' ? refusalOf(error) : undefined,
    });
  }

  /** The entry is stored by the server, or discarded. */
  forget(room: string, { author, tag }: Entry): void {
    if (author === this.#user) this.#last?.delete(room, tag);
  }
}

/** Resolves when the work of a storage is done, or within a second. */
async function inTime(work: Promise<unknown> | undefined): Promise<void> {
  let giveUp: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>(resolve => {
    giveUp = setTimeout(resolve, LATE_MS);
  });
  await Promise.race([work, late]);
  clearTimeout(giveUp);
}

function refusalOf(error: RoomlogError | undefined): Refusal | undefined {
  if (!error) return undefined;
  const { code, message: title, retryable, field, limit } = error;
  return { code, title, retryable, field, limit };
}
