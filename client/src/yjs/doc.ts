import { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import type { RoomlogError } from '../client/error.js';
import type { RoomHost } from '../client/host.js';
import { type Readable, type Unsubscribe, Value } from '../client/readable.js';
import type { Room } from '../client/types.js';
import { fromBase64, toBase64 } from './bytes.js';
import { carryAwareness } from './carets.js';
import { DocCopy } from './copy.js';
import { lacks, postDoc, readDoc } from './wire.js';

/** The type of the events that change documents (DOC-1). */
const DOC = 'doc';
/** How long what is written gathers until it is sent, in milliseconds. */
const GATHER_MS = 30;
/** An update above so many bytes goes by a request of its own, so that it holds up nothing else. */
const LARGE_BYTES = 128 * 1024;
/** In place of the tag of such a one. */
const POST = 'post';
/** How many updates wait at most: more are found by comparing the document with the server's. */
const MAX_WAITING = 256;
/** The longest wait until what failed is tried again, in milliseconds. */
const RETRY_MS = 20_000;

/**
 * `loading` until it is known what the server has; `saving` while the server lacks something, or it is not known whether it does; `saved` when it
 * has said that all of it is stored; `offline` while the room is not followed; `failed` where the server refuses what was written, or the room: see
 * `error`; `replaced` where the room has another document by now: see `replaced`.
 */
export type DocState = 'loading' | 'saving' | 'saved' | 'offline' | 'failed' | 'replaced';

/** What is left of a document in whose place the room has another one, since it was deleted and made again. */
export interface ReplacedDoc {
  /** The document that the room has; undefined while it has none. */
  readonly id: string | undefined;
  /** All of the old one, with what was never sent: an update for `Y.applyUpdate`. What is written into it after that is not kept. */
  readonly update: Uint8Array;
  /** Forgets the old one where it is kept. Then `openDoc` gives the new one; until then it says the same again. */
  discard(): void;
}

/** How a document is opened. */
export interface DocOptions {
  /** The Y.Doc to use. A new one. What it has is sent as what is written is. */
  ydoc?: Y.Doc;
}

/** A document of a room, open. */
export interface RoomDoc {
  /** The room. */
  readonly room: string;
  /** Its name there. */
  readonly name: string;
  /** What editors are bound to. It is empty until it is loaded from the storage, or the server. */
  readonly ydoc: Y.Doc;
  /**
   * Who is in it, and where their carets are: carried by the room's signals, at most 2 KiB for each, at most every 40 ms. Who has left, or is not heard, is gone
   * from it.
   */
  readonly awareness: Awareness;
  /** Whether what is written here is stored. */
  readonly status: Readable<DocState>;
  /** Which document it is, by the server; undefined while it has none. */
  readonly id: string | undefined;
  /** Why it is `failed`; what failed is sent again with what is written next, and when the room is joined again. */
  readonly error: RoomlogError | undefined;
  /** What became of it where it is `replaced`: nothing is sent, and nothing of the new one is taken in. */
  readonly replaced: ReplacedDoc | undefined;
  /** Closes it. What was not sent stays in the storage. Calling it again does nothing. The Y.Doc is left as it is. */
  destroy(): void;
}

class OpenDoc implements RoomDoc {
  readonly room: string;
  readonly name: string;
  readonly ydoc: Y.Doc;
  readonly awareness: Awareness;
  readonly status: Value<DocState>;
  error: RoomlogError | undefined;
  replaced: ReplacedDoc | undefined;

  readonly #room: Room<unknown>;
  readonly #host: RoomHost;
  readonly #copy: DocCopy;
  readonly #carets: ReturnType<typeof carryAwareness>;
  readonly #stops: Unsubscribe[] = [];
  #isRead = false;
  /** It is known what the server lacks: all of it waits, or is under way. */
  #isKnown = false;
  #wasKnown = false;
  /** The comparison under way; another one, or none, where the room was left or begun anew meanwhile. */
  #comparing: object | undefined;
  /** What came while it was not known whether it is of this document. */
  #early: Uint8Array[] = [];
  #waiting: Uint8Array[] = [];
  /** The tag of what is under way, or POST. */
  #sending: string | undefined;
  #isHeld = false;
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(room: Room<unknown>, name: string, { ydoc = new Y.Doc() }: DocOptions) {
    this.room = room.id;
    this.name = name;
    this.ydoc = ydoc;
    this.#room = room;
    this.#host = (room as unknown as { host: RoomHost }).host;
    this.#copy = new DocCopy(this.#host, name, ydoc);
    this.awareness = new Awareness(ydoc);
    this.status = new Value<DocState>('loading');
    this.#carets = carryAwareness(room, name, this.awareness, () => this.#isJoined);
    ydoc.on('update', this.#changed);
    this.#stops.push(
      room.on('event', ({ type, data }) => type === DOC && this.#take(Object(data))),
      room.on('reset', this.#begin),
      room.on('docs', this.#begin),
      room.status.subscribe(() => this.#look()),
      this.#host.session.status.subscribe(() => this.#look()),
      room.attach(),
    );
    this.#look();
  }

  get id(): string | undefined {
    return this.#copy.id;
  }

  get #isJoined(): boolean {
    return /live|catching/.test(this.#room.status.get().state);
  }

  // ---- what the room says ----

  #take({ doc, update }: { doc?: unknown; update?: unknown }): void {
    const bytes = doc === this.name && !this.replaced && fromBase64(update);
    if (!bytes) return;
    if (this.#isKnown) this.#copy.apply(bytes, this);
    else this.#early.push(bytes);
    if (this.id !== undefined) return;
    this.#isKnown = false; // somebody has begun the document: which one it is has to be known before it can be another
    this.#go();
  }

  /** The room goes on from elsewhere: whether the server has more or less than before, or another document, is not known. */
  readonly #begin = (): void => {
    this.#withdraw();
    this.#isKnown = false;
    this.#comparing = undefined;
    this.#look();
  };

  #look(): void {
    if (this.#isOver) return;
    if (!this.#isRead && this.#host.keeper.keepsWindows) void this.#read();
    if (!this.#isJoined) {
      this.#withdraw();
      this.#wait();
      this.#comparing = this.error = undefined;
    }
    this.#carets.look();
    this.#go();
  }

  /** Does what is to be done next. */
  #go(): void {
    if (this.#isOver) return;
    if (this.#isJoined && !this.replaced && !this.#timer && !this.error) {
      if (!this.#copy.isOurs) this.#isKnown = false;
      if (!this.#isKnown) void this.#compare();
      else if (this.#waiting.length > 0 && !this.#sending) this.#wait(GATHER_MS);
    }
    this.#show();
  }

  /** Goes on after so many milliseconds, which another call begins anew; undefined: when something happens. */
  #wait(ms?: number): void {
    clearTimeout(this.#timer);
    const go = () => {
      this.#timer = undefined;
      if (this.#isKnown && this.#isJoined && this.#copy.isOurs) void this.#send();
      else this.#go();
    };
    this.#timer = ms === undefined ? undefined : setTimeout(go, ms);
  }

  /** Takes what is in the storage. */
  async #read(): Promise<void> {
    this.#isRead = true;
    await this.#copy.read();
    this.#show();
  }

  // ---- what the server lacks ----

  async #compare(): Promise<void> {
    if (this.#comparing) return;
    const turn = {};
    this.#comparing = turn;
    const { requests } = this.#host;
    try {
      await this.#read(); // once more: another tab may have been closed since
      if (!this.#copy.isOurs)
        throw requests.core.localError('author_mismatch', 'Another user wrote this.', false);
      this.#early = []; // the answer has what was stored until now
      const theirs = await readDoc(requests, this.room, this.name, Y.encodeStateVector(this.ydoc));
      if (turn !== this.#comparing) return;
      if (this.id !== undefined && this.id !== theirs.id) this.#replace(theirs.id);
      else this.#known(theirs);
    } catch (error) {
      if (turn === this.#comparing) this.#failed(error as RoomlogError);
    }
    if (turn !== this.#comparing) return;
    this.#comparing = undefined;
    this.#go();
  }

  #known({ id, vector, update }: Awaited<ReturnType<typeof readDoc>>): void {
    if (id !== undefined) this.#copy.identify(id);
    const early = this.#early.splice(0);
    for (const each of [update, ...early]) this.#copy.apply(each, this);
    const mine = Y.encodeStateAsUpdate(this.ydoc, vector);
    this.#waiting = lacks(update, mine) ? [mine] : [];
    this.#isKnown = id !== undefined || early.length === 0;
    this.#wasKnown = true;
    this.#tries = 0;
    this.error = undefined;
  }

  #replace(id: string | undefined): void {
    this.replaced = { id, update: Y.encodeStateAsUpdate(this.ydoc), discard: () => this.#copy.forget() };
  }

  // ---- what is written here ----

  readonly #changed = (update: Uint8Array, origin: unknown) => {
    if (origin === this.#copy) return;
    const isOwn = origin !== this;
    if (!this.replaced) this.#copy.add(update, isOwn);
    if (!isOwn) return;
    this.#waiting.push(update);
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting = [update];
      this.#isKnown = false;
    }
    this.error = undefined;
    this.#go();
  };

  async #send(): Promise<void> {
    const updates = this.#waiting.splice(0);
    if (updates.length === 0) return;
    const update = updates.length > 1 ? Y.mergeUpdates(updates) : (updates[0] as Uint8Array);
    const { requests } = this.#host;
    try {
      if (update.length > LARGE_BYTES) {
        this.#sending = POST;
        await postDoc(requests, this.room, this.name, update as Uint8Array<ArrayBuffer>, this.id);
      } else {
        const data = { doc: this.name, id: this.id, update: toBase64(update) };
        const handle = this.#room.messages.send(data, { type: DOC });
        const entry = this.#host.outbox.find(handle.tag);
        if (entry) entry.fleeting = true; // the copy keeps it, and another connection compares first
        this.#sending = handle.tag;
        await handle;
      }
      this.#tries = 0;
      // Its first update has given the document its name, which is to be known before anything else happens.
      if (this.id === undefined) this.#isKnown = false;
    } catch (error) {
      this.#waiting.unshift(update);
      this.#room.messages.discard(this.#sending as string);
      if (this.#isJoined) this.#failed(error as RoomlogError);
    }
    this.#sending = undefined;
    this.#go();
  }

  /**
   * Takes back what waits to go out again, since nobody compares before it would: whether it was stored is seen by comparing. `always`: what is
   * on its way too.
   */
  #withdraw(always = false): void {
    const entry = this.#host.outbox.find(this.#sending as string);
    if (!entry || !(entry.state === 'queued' || (always && entry.state === 'sending'))) return;
    entry.state = 'queued';
    entry.unsure = 0;
    this.#isKnown = false;
    this.#room.messages.discard(entry.tag);
  }

  #failed(error: RoomlogError): void {
    if (error.code === 'cancelled') return;
    if (error.code === 'doc_replaced')
      this.#isKnown = false; // comparing says by which
    else if (!error.retryable) this.error = error;
    else
      this.#wait(
        Math.max(error.retryAfterMs ?? 0, Math.random() * Math.min(RETRY_MS, 250 * 2 ** this.#tries++)),
      );
  }

  // ---- what is shown ----

  #show(): void {
    if (this.#isOver) return;
    const lacksSome = this.#waiting.length > 0 || this.#sending !== undefined;
    // The session knows that something is unsent: it asks before the page is left, and connects.
    if (lacksSome !== this.#isHeld) {
      this.#isHeld = lacksSome;
      this.#host.session.pendingChanged(lacksSome ? 1 : -1);
    }
    this.status.set(this.#state(lacksSome));
  }

  #state(lacksSome: boolean): DocState {
    const { state, error } = this.#room.status.get();
    if (this.replaced) return 'replaced';
    if (state === 'denied') {
      this.error = error;
      return 'failed';
    }
    const connection = this.#host.session.status.get().state;
    if (!this.#isJoined) return !this.#wasKnown && /idle|^connect/.test(connection) ? 'loading' : 'offline';
    if (this.error) return 'failed';
    if (this.#isKnown) return lacksSome ? 'saving' : 'saved';
    return this.#wasKnown ? 'saving' : 'loading';
  }

  destroy(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#withdraw(true);
    if (this.#isHeld) this.#host.session.pendingChanged(-1);
    this.ydoc.off('update', this.#changed);
    this.#wait();
    this.#carets.stop();
    this.#copy.close();
    for (const stop of this.#stops) stop();
  }
}

/**
 * Opens a document of a room: a Y.Doc that is the same for all who open it. It attaches the room until `destroy()`. What is written is in the client's
 * `storage`, where it has one, before it is sent, and is sent when it is known that the server's document is the one that it was written in.
 */
export function openDoc<M, P, S>(room: Room<M, P, S>, name = 'main', options: DocOptions = {}): RoomDoc {
  return new OpenDoc(room as unknown as Room<unknown>, name, options);
}
