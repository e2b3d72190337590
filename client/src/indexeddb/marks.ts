import type { MarkBox, StorageOwner } from '../client/storage.js';
import { committed, type Database, done, MARKS } from './database.js';

/** A mark as a record. */
interface MarkRecord extends StorageOwner {
  room: string;
  read: number;
}

/** What is to become of the mark of a room: it is at least `read`, and forgotten unless it is above `stored`. */
interface Change {
  read: number;
  stored: number;
}

/** The marks of one owner, which all tabs raise. Changes that gather while a write is under way are made in one transaction. */
export class IndexedDBMarkBox implements MarkBox {
  readonly #db: Database;
  readonly #owner: StorageOwner;
  readonly #failed: (cause: unknown) => void;
  #changes = new Map<string, Change>();
  #work: Promise<void> = Promise.resolve();

  constructor(db: Database, owner: StorageOwner, failed: (cause: unknown) => void) {
    this.#db = db;
    this.#owner = owner;
    this.#failed = failed;
  }

  async all(): Promise<ReadonlyMap<string, number>> {
    await this.#work;
    try {
      const { server, user } = this.#owner;
      const store = (await this.#db.begin(MARKS, 'readonly')).objectStore(MARKS);
      const all = IDBKeyRange.bound([server, user], [server, user, []]); // a list is above every text
      const records = await done<MarkRecord[]>(store.getAll(all));
      return new Map(records.map(({ room, read }) => [room, read]));
    } catch (cause) {
      this.#failed(cause);
      return new Map();
    }
  }

  put(room: string, read: number): void {
    this.#change(room, { read, stored: 0 });
  }

  delete(room: string, read: number): void {
    this.#change(room, { read: 0, stored: read });
  }

  close(): Promise<void> {
    return this.#work;
  }

  #change(room: string, { read, stored }: Change): void {
    const before = this.#changes.get(room) ?? { read: 0, stored: 0 };
    if (this.#changes.size === 0) this.#work = this.#work.then(() => this.#write()).catch(this.#failed);
    this.#changes.set(room, { read: Math.max(before.read, read), stored: Math.max(before.stored, stored) });
  }

  async #write(): Promise<void> {
    const changes = this.#changes;
    this.#changes = new Map();
    const transaction = await this.#db.begin(MARKS, 'readwrite');
    const store = transaction.objectStore(MARKS);
    const { server, user } = this.#owner;
    for (const [room, change] of changes) {
      const key = [server, user, room];
      const kept = store.get(key);
      kept.onsuccess = () => {
        const before: MarkRecord | undefined = kept.result;
        const read = Math.max(before?.read ?? 0, change.read);
        if (read > change.stored) store.put({ server, user, room, read } satisfies MarkRecord);
        else store.delete(key);
      };
    }
    await committed(transaction);
  }
}
