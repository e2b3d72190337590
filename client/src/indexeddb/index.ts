/**
 * What a client keeps in IndexedDB, so that it survives reloads, crashes and closed tabs.
 *
 * @packageDocumentation
 */
import type { ClientStorage } from '../client/storage.js';
import { Database } from './database.js';
import { IndexedDBDocBox } from './docs.js';
import { IndexedDBMarkBox } from './marks.js';
import { IndexedDBSendBox } from './sends.js';
import { IndexedDBWindowBox } from './windows.js';

/** How a storage is made. */
export interface IndexedDBStorageOptions {
  /** The name of the database. `roomlog`. */
  name?: string;
}

/**
 * Keeps unsent messages, how far rooms were read where the server does not know it yet, documents with their unsent edits, and the newest events of
 * each room with the position behind them, in IndexedDB, for the option `storage` of `createClient`. One storage serves any number of clients,
 * servers and users: what is kept belongs to a server and a user, and is given to no other. What a closed tab leaves
 * behind is sent by a tab that is connected (Web Locks tell which are open; without them, as on pages that are not
 * secure, by the next page that is opened). It does nothing until a client is opened.
 */
export function indexedDBStorage({ name = 'roomlog' }: IndexedDBStorageOptions = {}): ClientStorage {
  const db = new Database(name);
  return {
    sends: (owner, events) => new IndexedDBSendBox(db, owner, events),
    windows: (owner, failed) => new IndexedDBWindowBox(db, owner, failed),
    marks: (owner, failed) => new IndexedDBMarkBox(db, owner, failed),
    docs: (owner, failed) => new IndexedDBDocBox(db, owner, failed),
  };
}
