import type { Page } from '../protocol/frames.js';
import type { Refusal } from './error.js';

/** Whose things are kept: a user of a server. Nothing of one owner is ever given to another. */
export interface StorageOwner {
  /** The API's root. */
  readonly server: string;
  /** The user, as the server names them. */
  readonly user: string;
}

/** A send as it is kept until it is stored by the server or discarded. */
export interface StoredSend {
  /** The room it goes to. */
  readonly room: string;
  /** Its tag, the same each time it is sent. */
  readonly tag: string;
  /** The type of its event. */
  readonly type: string;
  /** The data as JSON text. */
  readonly json: string;
  /** Of a set of state that is compared: behind which seq none of its keys may have been set. */
  readonly ifSeq?: number | undefined;
  /** When it was sent, in epoch milliseconds. */
  readonly at: number;
  /** Its place among the sends of its room: higher is later. */
  readonly order: number;
  /** Whether it went out: then the server may have it. */
  readonly tried: boolean;
  /** Why it was refused for good, if it was. */
  readonly refusal: Refusal | undefined;
}

/** What a box of sends tells its owner. */
export interface SendBoxEvents {
  /** Sends that a tab which is gone has left behind are this client's from now on. In the order of `order`. */
  adopted(sends: readonly StoredSend[]): void;
  /** Whether there is a connection. */
  isUp(): boolean;
  /** Something could not be kept or read. The client goes on without. */
  failed(cause: unknown): void;
}

/** The kept sends of one owner, as far as they are this client's. */
export interface SendBox {
  /** Keeps a send, in place of the one with its room and tag. Writes take effect in the order of the calls. */
  put(send: StoredSend): void;
  /** Forgets a send, also after `close`. */
  delete(room: string, tag: string): void;
  /**
   * Looks for what other tabs have left behind: now, and from time to time while there is a connection. Resolves when it has
   * looked, whether or not that worked.
   */
  adopt(): Promise<void>;
  /** Finishes what is under way and lets go of the sends, so that another tab may adopt them. */
  close(): Promise<void>;
}

/** The newest events of a room and the position behind them: one record, so that they never tell of different moments. */
export interface StoredWindow extends Page {
  /** The room that it is of. */
  readonly room: string;
  /** The numbering that it belongs to. */
  readonly epoch: string;
  /** The first seq that could be read when it was kept. */
  readonly floor: number;
}

/** The kept windows of one owner. */
export interface WindowBox {
  /** Reads one; undefined where there is none, or it cannot be read. It never rejects. */
  read(room: string): Promise<StoredWindow | undefined>;
  /** Keeps one in place of an earlier one. Writes take effect in the order of the calls. */
  put(window: StoredWindow): void;
  /** Forgets the window of a room. */
  delete(room: string): void;
  /** Finishes what is under way. */
  close(): Promise<void>;
}

/** How far the rooms of one owner were read, until the server has it. */
export interface MarkBox {
  /** All that is kept, by room: the last seq that was read. It never rejects. */
  all(): Promise<ReadonlyMap<string, number>>;
  /** Keeps a mark, unless a higher one is kept: other tabs write too. */
  put(room: string, read: number): void;
  /** Forgets the mark of a room, unless it is above `read`. */
  delete(room: string, read: number): void;
  /** Finishes what is under way. */
  close(): Promise<void>;
}

/** A document as it is kept. */
export interface StoredDoc {
  /** Which document it is, as the server named it; undefined where that was not known yet. */
  readonly id: string | undefined;
  /** Updates that are it together, the oldest first. */
  readonly updates: readonly Uint8Array[];
  /** Names the last of them, for `replace`. */
  readonly upTo: number;
}

/** The kept documents of one owner. Several tabs may write one: what they write is merged when it is read. */
export interface DocBox {
  /** Reads one; undefined where there is none, or it cannot be read. It never rejects. */
  read(room: string, doc: string): Promise<StoredDoc | undefined>;
  /**
   * Adds an update to the document with this id. With `upTo` it stands in place of all updates up to that one. Writes take effect in the
   * order of the calls.
   */
  add(room: string, doc: string, id: string | undefined, update: Uint8Array, upTo?: number): void;
  /** Forgets one. */
  delete(room: string, doc: string): void;
  /** Finishes what is under way. */
  close(): Promise<void>;
}

/** Where a client keeps what is to survive a reload. `roomlog/indexeddb` has one for browsers. */
export interface ClientStorage {
  /** Opens the box of an owner. Nothing throws: what fails is told by `failed`. */
  sends(owner: StorageOwner, events: SendBoxEvents): SendBox;
  /** Opens the windows of an owner. What fails is told by `failed`. */
  windows(owner: StorageOwner, failed: (cause: unknown) => void): WindowBox;
  /** Opens the read marks of an owner. What fails is told by `failed`. */
  marks(owner: StorageOwner, failed: (cause: unknown) => void): MarkBox;
  /** Opens the documents of an owner; without it they are in memory only. What fails is told by `failed`. */
  docs?(owner: StorageOwner, failed: (cause: unknown) => void): DocBox;
}
