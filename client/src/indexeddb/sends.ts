import type { SendBox, SendBoxEvents, StorageOwner, StoredSend } from '../client/storage.js';
import { newTag } from '../index.js';
import { BY_OWNER, committed, type Database, done, SENDS } from './database.js';
import { adopting, alive, canTell, HolderLock } from './locks.js';

/** How often a connected tab looks for what closed ones have left behind. */
const ADOPT_MS = 30_000;

/** A send as a record. `holder` is the page that sends it. */
interface SendRecord extends StoredSend, StorageOwner {
  holder: string;
}

/** One write that is to be made: a send, or the forgetting of one. */
interface Write {
  room: string;
  tag: string;
  send: StoredSend | undefined;
}

/**
 * The sends of one owner in a database that all tabs share. Each send has one page that sends it; a page whose lock is
 * gone has left its sends behind, and a connected one adopts them. Where that fails and a send goes out twice, its tag
 * makes one event of it. Writes that gather while one is under way are made in one transaction.
 */
export class IndexedDBSendBox implements SendBox {
  readonly #db: Database;
  readonly #owner: StorageOwner;
  readonly #events: SendBoxEvents;
  readonly #lock = new HolderLock(newTag());
  /** The tags that this page holds, as far as they are written. */
  readonly #held = new Set<string>();
  #writes = new Map<string, Write>();
  #work: Promise<void> = Promise.resolve();
  #busy = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #closed = false;
  #adopted = false;

  constructor(db: Database, owner: StorageOwner, events: SendBoxEvents) {
    this.#db = db;
    this.#owner = owner;
    this.#events = events;
  }

  put(send: StoredSend): void {
    this.#write({ room: send.room, tag: send.tag, send });
  }

  delete(room: string, tag: string): void {
    this.#write({ room, tag, send: undefined });
  }

  async adopt(): Promise<void> {
    if (this.#closed) return;
    this.#timer ??= setInterval(() => this.#events.isUp() && void this.adopt(), ADOPT_MS);
    // Without locks another tab may be at work on them: they are taken once, when the page begins.
    if (this.#adopted && !canTell()) return;
    this.#adopted = true;
    this.#do(() => this.#adopt());
    await this.#work;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#do(async () => this.#lock.release());
    await this.#work;
  }

  #write(write: Write): void {
    this.#writes.set(`${write.room} ${write.tag}`, write);
    if (this.#busy) return;
    this.#busy = true;
    this.#do(() => this.#flush());
  }

  /** Writes that did not come about are made with the next, unless there are later ones of the same send. */
  #keepForLater(writes: readonly Write[]): void {
    for (const write of writes) {
      const key = `${write.room} ${write.tag}`;
      if (!this.#writes.has(key)) this.#writes.set(key, write);
    }
  }

  /** One after another: the lock is held before the first write is made, and let go of after the last. */
  #do(task: () => Promise<void>): void {
    this.#work = this.#work.then(task).catch(cause => this.#events.failed(cause));
  }

  async #flush(): Promise<void> {
    this.#busy = false;
    const writes = [...this.#writes.values()];
    this.#writes = new Map();
    await this.#make(writes).catch(cause => {
      this.#keepForLater(writes);
      throw cause;
    });
    for (const { room, tag, send } of writes) {
      if (send) this.#held.add(`${room} ${tag}`);
      else this.#held.delete(`${room} ${tag}`);
    }
    this.#releaseIfIdle();
  }

  async #make(writes: readonly Write[]): Promise<void> {
    if (writes.some(({ send }) => send)) await this.#lock.hold();
    const transaction = await this.#db.begin(SENDS, 'readwrite');
    const store = transaction.objectStore(SENDS);
    const { server, user } = this.#owner;
    for (const { room, tag, send } of writes) {
      if (send) store.put({ ...send, server, user, holder: this.#lock.holder } satisfies SendRecord);
      else store.delete([server, user, room, tag]);
    }
    await committed(transaction);
  }

  async #adopt(): Promise<void> {
    const { server, user } = this.#owner;
    const all = (transaction: IDBTransaction) =>
      done<SendRecord[]>(transaction.objectStore(SENDS).index(BY_OWNER).getAll([server, user]));
    await adopting(`${server} ${user}`, async () => {
      // First what there is, then who is there: a page that begins between the two is not taken for gone.
      const found = await all(await this.#db.begin(SENDS, 'readonly'));
      const isAlive = await alive();
      const left = new Set(
        found
          .filter(({ holder }) => holder !== this.#lock.holder && !isAlive(holder))
          .map(({ room, tag, holder }) => `${room} ${tag} ${holder}`),
      );
      if (left.size === 0) return;
      await this.#lock.hold(); // what is taken below is held from its first moment on
      const transaction = await this.#db.begin(SENDS, 'readwrite');
      const store = transaction.objectStore(SENDS);
      const orphans = (await all(transaction)).filter(({ room, tag, holder, json }) => {
        return left.has(`${room} ${tag} ${holder}`) && isJson(json);
      });
      for (const orphan of orphans) store.put({ ...orphan, holder: this.#lock.holder });
      await committed(transaction);
      for (const { room, tag } of orphans) this.#held.add(`${room} ${tag}`);
      if (orphans.length > 0) this.#events.adopted(orphans.map(toSend).sort((a, b) => a.order - b.order));
    });
    this.#releaseIfIdle();
  }

  #releaseIfIdle(): void {
    if (this.#held.size === 0 && this.#writes.size === 0) this.#lock.release();
  }
}

/** Whether a record can be sent at all: a damaged one is left where it is, and keeps nothing behind it. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function toSend({ server: _, user: __, holder: ___, ...send }: SendRecord): StoredSend {
  return send;
}
