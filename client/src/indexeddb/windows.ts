import type { StorageOwner, StoredWindow, WindowBox } from '../client/storage.js';
import { BY_AGE, committed, type Database, done, WINDOWS } from './database.js';

/** How many rooms are kept per owner; the one that was written longest ago goes first. */
const MAX_WINDOWS = 50;

/** A window as a record: the events and their position change together or not at all. */
interface WindowRecord extends StoredWindow, StorageOwner {
  /** When it was written, in epoch milliseconds. */
  at: number;
}

/** The windows of one owner. Of two tabs the one that wrote last has its say: either window is right. */
export class IndexedDBWindowBox implements WindowBox {
  readonly #db: Database;
  readonly #owner: StorageOwner;
  readonly #failed: (cause: unknown) => void;
  #work: Promise<void> = Promise.resolve();

  constructor(db: Database, owner: StorageOwner, failed: (cause: unknown) => void) {
    this.#db = db;
    this.#owner = owner;
    this.#failed = failed;
  }

  async read(room: string): Promise<StoredWindow | undefined> {
    try {
      const transaction = await this.#db.begin(WINDOWS, 'readonly');
      const record = await done<WindowRecord | undefined>(
        transaction.objectStore(WINDOWS).get([this.#owner.server, this.#owner.user, room]),
      );
      if (!record) return undefined;
      const { server: _, user: __, at: ___, ...window } = record;
      return window;
    } catch (cause) {
      this.#failed(cause);
      return undefined;
    }
  }

  put(window: StoredWindow): void {
    const record: WindowRecord = { ...window, ...this.#owner, at: Date.now() };
    this.#write(async store => {
      store.put(record);
      const { server, user } = this.#owner;
      const all = IDBKeyRange.bound([server, user, 0], [server, user, Number.MAX_SAFE_INTEGER]);
      const keys = await done(store.index(BY_AGE).getAllKeys(all));
      for (const key of keys.slice(0, -MAX_WINDOWS)) store.delete(key);
    });
  }

  delete(room: string): void {
    this.#write(async store => {
      store.delete([this.#owner.server, this.#owner.user, room]);
    });
  }

  close(): Promise<void> {
    return this.#work;
  }

  #write(change: (store: IDBObjectStore) => Promise<void>): void {
    this.#work = this.#work
      .then(async () => {
        const transaction = await this.#db.begin(WINDOWS, 'readwrite');
        await Promise.all([committed(transaction), change(transaction.objectStore(WINDOWS))]);
      })
      .catch(this.#failed);
  }
}
