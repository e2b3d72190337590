import type { DocBox, StorageOwner, StoredDoc } from '../client/storage.js';
import { BY_DOC, committed, type Database, DOCS, done } from './database.js';

/** An update as a record. */
interface DocRecord extends StorageOwner {
  room: string;
  doc: string;
  /** The document's id, as far as it was known when this was written. */
  id: string | undefined;
  update: Uint8Array;
}

type Change = (store: IDBObjectStore) => Promise<void>;

/**
 * The documents of one owner, each a list of updates to which all tabs add. Writes that gather while one is under way are made in one
 * transaction: letters that are typed do not queue for the disk.
 */
export class IndexedDBDocBox implements DocBox {
  readonly #db: Database;
  readonly #owner: StorageOwner;
  readonly #failed: (cause: unknown) => void;
  #changes: Change[] = [];
  #work: Promise<void> = Promise.resolve();

  constructor(db: Database, owner: StorageOwner, failed: (cause: unknown) => void) {
    this.#db = db;
    this.#owner = owner;
    this.#failed = failed;
  }

  async read(room: string, doc: string): Promise<StoredDoc | undefined> {
    await this.#work;
    try {
      const index = (await this.#db.begin(DOCS, 'readonly')).objectStore(DOCS).index(BY_DOC);
      const key = this.#key(room, doc);
      const [records, keys] = await Promise.all([
        done<DocRecord[]>(index.getAll(key)),
        done(index.getAllKeys(key)),
      ]);
      if (records.length === 0) return undefined;
      // A tab that had not heard that the document is another one may have written to the old one since.
      const id = records.findLast(record => record.id !== undefined)?.id;
      const updates = records
        .filter(record => record.id === undefined || record.id === id)
        .map(record => record.update);
      return { id, updates, upTo: keys.at(-1) as number };
    } catch (cause) {
      this.#failed(cause);
      return undefined;
    }
  }

  add(room: string, doc: string, id: string | undefined, update: Uint8Array, upTo = 0): void {
    this.#write(async store => {
      if (upTo > 0) await this.#clear(store, room, doc, upTo);
      store.add({ ...this.#owner, room, doc, id, update } satisfies DocRecord);
    });
  }

  delete(room: string, doc: string): void {
    this.#write(store => this.#clear(store, room, doc, Number.POSITIVE_INFINITY));
  }

  close(): Promise<void> {
    return this.#work;
  }

  #key(room: string, doc: string): IDBValidKey {
    return [this.#owner.server, this.#owner.user, room, doc];
  }

  async #clear(store: IDBObjectStore, room: string, doc: string, upTo: number): Promise<void> {
    const keys = await done(store.index(BY_DOC).getAllKeys(this.#key(room, doc)));
    for (const key of keys) if ((key as number) <= upTo) store.delete(key);
  }

  #write(change: Change): void {
    if (this.#changes.push(change) > 1) return; // its turn comes with those before it
    this.#work = this.#work
      .then(async () => {
        const changes = this.#changes.splice(0);
        const transaction = await this.#db.begin(DOCS, 'readwrite');
        const store = transaction.objectStore(DOCS);
        const make = async () => {
          for (const change of changes) await change(store);
        };
        await Promise.all([committed(transaction), make()]);
      })
      .catch(this.#failed);
  }
}
