import type { RoomlogError } from './error.js';
import type { Readable } from './readable.js';
import type { Message, Register, SendHandle } from './types.js';

/** The state of a room, by key, where a room names no type of its own. */
export type StateValues = Register extends { state: infer T } ? T : Record<string, unknown>;

/** Where the value of a key comes from. */
export interface StateMeta {
  /** The seq of the event that set it; null until it is stored. */
  readonly seq: number | null;
  /** Who set it. */
  readonly author: string;
  /** Whether that is the client's own user. */
  readonly own: boolean;
  /** When it was stored; until then, when it was set, by the device's clock. It decides nothing. */
  readonly at: Date;
  /** Whether it is still on its way. */
  readonly pending: boolean;
  /** Whether the key was deleted. */
  readonly deleted: boolean;
}

/** A set of one's own that does not stand: somebody else's came behind it, or it was refused. Values are undefined where there is none. */
export interface LostWrite {
  /** The key. */
  readonly key: string;
  /** What the client's own user set. */
  readonly mine: unknown;
  /** When that was stored; undefined where it was refused. */
  readonly mineAt: Date | undefined;
  /** What counts instead. */
  readonly theirs: unknown;
  /** Who set that; empty where the key has no value. */
  readonly by: string;
  /** When that was stored. */
  readonly at: Date;
  /** Why one's own was refused; undefined where it was stored and somebody else's is later. */
  readonly error: RoomlogError | undefined;
  /** Sets one's own value again. */
  putBack(): SendHandle<unknown>;
}

/** What an undo, or a redo, has done. */
export interface Undone {
  /** The keys that have their earlier value again. */
  readonly keys: readonly string[];
  /** Those that were left as they are, since somebody else has set them behind one's own set. */
  readonly skipped: readonly LostWrite[];
  /** The set that was made for it; undefined where nothing was left to do. */
  readonly sent: SendHandle<unknown> | undefined;
}

/** What can be undone and redone. */
export interface Undoable {
  /** Whether `undo` has something to take back. */
  readonly undo: boolean;
  /** Whether `redo` has something to bring back. */
  readonly redo: boolean;
}

/** Values to be set, by key; null deletes a key. All of them are set at once, in one event. */
export type StatePatch<S = StateValues> = { readonly [K in keyof S]?: S[K] | null };

/**
 * The state of a room: values by key, and of two sets of a key the one with the higher seq counts, whatever clocks say. Its code is loaded where
 * a room has state, somebody subscribes to `value`, or something is set. It is whole where the room was begun with the latest page or at `0`: behind any other
 * `position` only what has changed since is known.
 */
export interface SharedState<S = StateValues> {
  /**
   * All values, one's own that are on their way among them: an object without prototype. It is a new one for each change, also of what `meta` and
   * `undoable` tell; values in it that did not change stay the same.
   */
  readonly value: Readable<Readonly<Partial<S>>>;
  /** What can be undone and redone; undefined while nothing was ever set. */
  readonly undoable: Undoable | undefined;
  /** All values, as `value` has them. */
  get(): Readonly<Partial<S>>;
  /** The value of one key. */
  get<K extends keyof S & string>(key: K): S[K] | undefined;
  /** Where the value of a key comes from; undefined where it has none, and nothing is known of a deletion. */
  meta(key: keyof S & string): StateMeta | undefined;
  /**
   * Sets keys, all at once. It shows immediately, is sent like a message (in order, once, through drops and reloads), and shows no more where it is
   * refused. Sets that follow one another while none of them was sent go out as one, and have one handle. With `ifSeq` it is refused
   * as `conflict` where one of the keys was set behind that seq (0: has a value); the error's `current` says by whom. Throws a
   * TypeError where no key is named.
   */
  set(patch: StatePatch<S>, options?: { ifSeq?: number }): SendHandle<unknown>;
  /**
   * Calls `change` with a copy of all values, which it may change at any depth, and sets the keys that are others then. Resolves like a set, with
   * undefined where nothing has changed.
   */
  update(change: (draft: Partial<S>) => void): Promise<Message<unknown> | undefined>;
  /**
   * Takes back the last set of this client that is not taken back, key by key: where somebody else has set a key since, it is left as it is, and
   * named in `skipped`. What others set while it is on its way makes it a `conflict`, of which the room tells by `lost`. Resolves when it
   * shows; undefined where there is nothing to undo.
   */
  undo(): Promise<Undone | undefined>;
  /** Brings back what the last `undo` took back, alike. Another set ends that. */
  redo(): Promise<Undone | undefined>;
}
