import type { Core } from './core.js';
import type { Refusal, RoomlogError } from './error.js';
import type { Keeper, KeeperNeeds } from './keeper.js';
import { Marks } from './marks.js';
import type { Entry } from './outbox.js';
import { Recent } from './recent.js';
import type { DocBox, MarkBox, SendBox, StoredSend, StoredWindow, WindowBox } from './storage.js';

/** How long a storage may hold anything up. */
const LATE_MS = 1_000;

/** What the code that keeps needs of its keeper. */
export interface KeptNeeds extends KeeperNeeds {
  keeper: Keeper;
  /** The storage was asked for what was kept. */
  looked(): void;
  /** Something could not be kept or read. */
  failed(cause: unknown): void;
}

/** What is kept: the boxes of one user, and the newest events of each room. */
export class Kept {
  readonly #needs: KeptNeeds;
  readonly #recents = new Map<string, Recent>();
  /** Whose they are. */
  user: string | undefined;
  #box: SendBox | undefined;
  /** The box, also once it is closed: what is discarded then is to be forgotten all the same. */
  #last: SendBox | undefined;
  #windows: WindowBox | undefined;
  #marks: Marks | undefined;
  /** The documents of the user; undefined while nothing is kept. */
  docs: DocBox | undefined;

  constructor(needs: KeptNeeds) {
    this.#needs = needs;
  }

  /** The user is known, or is another. */
  use(user: string): void {
    if (user === this.user && this.#box) {
      void this.#box.adopt();
      void this.#marks?.send();
      return;
    }
    const { storage, session, requests, looked, failed } = this.#needs;
    if (!storage) return;
    void this.close();
    this.user = user;
    const owner = { server: requests.api(), user };
    this.#windows = storage.windows(owner, failed);
    this.#marks = new Marks(storage.marks(owner, failed), user, this.#needs);
    void this.#marks.send();
    this.docs = storage.docs?.(owner, failed);
    const box = storage.sends(owner, {
      isUp: () => session.isUp,
      failed,
      adopted: sends => {
        // Found by a box that was let go of meanwhile: those are another user's, and stay theirs.
        if (box === this.#box)
          for (const send of sends) this.#restore(send.room, entryOf(requests.core, send, user));
      },
    });
    this.#box = this.#last = box;
    void inTime(box.adopt()).then(() => {
      if (box === this.#box) looked();
    });
  }

  /** Puts a kept send back where it was. One that is there already is left as it is. */
  #restore(room: string, entry: Entry): void {
    const { outbox: of, session, keeper } = this.#needs;
    const outbox = of(room);
    if (outbox.find(entry.tag)) return;
    keeper.nextOrder(entry.order);
    const { entries, events } = outbox;
    const behind = entries.findIndex(({ order }) => order > entry.order);
    entries.splice(behind < 0 ? entries.length : behind, 0, entry);
    if (!entry.error) session.pendingChanged(1);
    events.changed(entry);
    outbox.up();
  }

  /** Lets go of what is kept. Resolves when all of it is written, or within a second. */
  async close(): Promise<void> {
    const boxes = [this.#windows, this.#box, this.#marks?.box, this.docs];
    if (!this.#box) return;
    for (const recent of this.#recents.values()) recent.write();
    this.#windows = this.#box = this.#marks = this.docs = undefined;
    await inTime(Promise.all(boxes.map(box => box?.close())));
  }

  /** Whether windows are kept at the moment. */
  get keepsWindows(): boolean {
    return this.#windows !== undefined;
  }

  /** Whether there is no reason to wait for a window any more: the server would give it, or nobody wants it. */
  get canJoin(): boolean {
    return this.#needs.session.isUp || !this.keepsWindows;
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

  /** How far rooms were read that the server does not know of; undefined while nothing is kept. */
  get marks(): MarkBox | undefined {
    return this.#marks?.box;
  }

  /** The newest events of a room. */
  recent(room: string): Recent {
    let recent = this.#recents.get(room);
    if (!recent) {
      recent = new Recent(room, this);
      this.#recents.set(room, recent);
    }
    return recent;
  }

  /** Keeps an entry as it is. One of somebody else stays as their own box has it. */
  keep(room: string, entry: Entry): void {
    const { tag, type, json, ifSeq, order, unsure, state, error, author } = entry;
    if (author === undefined || author !== this.user || entry.fleeting) return;
    this.#box?.put({
      room,
      tag,
      type,
      json,
      ifSeq,
      at: entry.at.getTime(),
      order,
      tried: unsure > 0,
      refusal: state === 'failed' ? refusalOf(error) : undefined,
    });
  }

  /** The entry is stored by the server, or discarded. */
  forget(room: string, { author, tag, fleeting }: Entry): void {
    if (author === this.user && !fleeting) this.#last?.delete(room, tag);
  }
}

/** A kept send as it was. */
function entryOf(
  { RoomlogError }: Core,
  { room: _, refusal, at, tried, ...send }: StoredSend,
  author: string,
): Entry {
  return {
    ...send,
    data: JSON.parse(send.json),
    at: new Date(at),
    author,
    state: refusal ? 'failed' : 'queued',
    error: refusal && new RoomlogError(refusal),
    unsure: tried ? 1 : 0,
  };
}

/** Resolves when the work of a storage is done, or within a second. */
async function inTime(work: Promise<unknown>): Promise<void> {
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
