/** Every send that is kept, by owner, room and tag. */
export const SENDS = 'sends';
/** Index of SENDS: all of an owner. */
export const BY_OWNER = 'owner';
/** The newest events of each room, by owner and room. */
export const WINDOWS = 'windows';
/** Index of WINDOWS: those of an owner in the order in which they were written. */
export const BY_AGE = 'age';

/** How far rooms were read, by owner and room. */
export const MARKS = 'marks';

/** Updates of documents, in the order in which they were written. */
export const DOCS = 'docs';
/** Index of DOCS: those of one document, by owner, room and name. */
export const BY_DOC = 'doc';

/** The second has MARKS, the third DOCS. */
const VERSION = 3;

/** A request as a promise. */
export function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The end of a transaction: resolves when it is committed. */
export function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

/**
 * One database, opened when it is first used and again after the browser has closed it. A later version in another tab is
 * not held up: the connection is given up for it.
 */
export class Database {
  readonly #name: string;
  #open: Promise<IDBDatabase> | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  /** Begins a transaction. Rejects where there is no database to be had. */
  async begin(store: string, mode: IDBTransactionMode): Promise<IDBTransaction> {
    try {
      return (await this.#connected()).transaction(store, mode);
    } catch {
      this.#open = undefined; // closed by the browser, for all we know
      return (await this.#connected()).transaction(store, mode);
    }
  }

  #connected(): Promise<IDBDatabase> {
    this.#open ??= this.#connect();
    return this.#open;
  }

  async #connect(): Promise<IDBDatabase> {
    const request = indexedDB.open(this.#name, VERSION);
    request.onupgradeneeded = ({ oldVersion }) => {
      const { result } = request;
      const docs = result.createObjectStore(DOCS, { autoIncrement: true });
      docs.createIndex(BY_DOC, ['server', 'user', 'room', 'doc']);
      if (oldVersion < 2) result.createObjectStore(MARKS, { keyPath: ['server', 'user', 'room'] });
      if (oldVersion > 0) return;
      const sends = result.createObjectStore(SENDS, { keyPath: ['server', 'user', 'room', 'tag'] });
      sends.createIndex(BY_OWNER, ['server', 'user']);
      const windows = result.createObjectStore(WINDOWS, { keyPath: ['server', 'user', 'room'] });
      windows.createIndex(BY_AGE, ['server', 'user', 'at']);
    };
    const db = await done(request);
    db.onclose = () => {
      this.#open = undefined;
    };
    db.onversionchange = () => {
      this.#open = undefined;
      db.close();
    };
    return db;
  }
}
