import type { Page, StateEntry } from '../../protocol/frames.js';
import type { RoomlogError } from '../error.js';
import type { Keeper } from '../keeper.js';
import type { Entry, Outbox } from '../outbox.js';
import type { Emitter } from '../readable.js';
import type { Session } from '../session.js';
import type { LostWrite, StateMeta, Undone } from '../state.js';
import type { Timeline } from '../timeline.js';
import type { Message, Room, RoomEvents, SendHandle } from '../types.js';
import type { Values } from '../values.js';
import { fold, type Stored } from './fold.js';
import { bare, type Patch, Steps } from './steps.js';

/** What the state of a room needs of it. */
export interface StatePartHost {
  readonly room: Room<unknown>;
  readonly session: Session;
  readonly keeper: Keeper;
  readonly outbox: Outbox;
  /** Has the sends that are not in the log yet. */
  readonly log: Timeline;
  readonly events: Emitter<RoomEvents>;
}

/** As `STATE` of the core: code that both had would be a chunk beside it. */
const STATE = 'state';
/** How long after one's own set, by the server's time, somebody else's is told as a loss: what comes later is no race. */
const RACE_MS = 60_000;
/** What one set may grow to by others that follow while it waits: keys, and characters of JSON. */
const MAX_KEYS = 64;
const MAX_LENGTH = 16_000;

/** A set of this client that is not settled yet; `data` is all that goes out under its tag. */
interface Sent {
  data: Patch;
  readonly handle: SendHandle<unknown>;
}

/** One key as it is shown. */
interface Shown {
  readonly value: unknown;
  readonly meta: StateMeta | undefined;
}

const same = (a: unknown, b: unknown) => Object.is(a, b) || JSON.stringify(a) === JSON.stringify(b);

/** The values that the server has, and over them those of one's own that are on their way. */
export class StatePart {
  readonly #host: StatePartHost;
  readonly #values: Values;
  /** What is stored, as far as the room was followed; deleted keys too. */
  readonly #stored: Stored = new Map();
  /** The keys over which something of one's own was laid when it was last shown. */
  #laid: ReadonlySet<string> = new Set();
  /** By tag. */
  readonly #sent = new Map<string, Sent>();
  /** The last set, while it never went out: the next may go out with it. */
  #fresh: Entry | undefined;
  /** By key: what was set here and is stored, until somebody else's is. */
  readonly #mine = new Map<string, { value: unknown; seq: number; at: number }>();
  /** By key: the last that somebody else has set. */
  readonly #theirs = new Map<string, StateEntry>();
  readonly #steps = new Steps();
  /** Where what is shown comes from, by key. */
  readonly #metas = new Map<string, StateMeta>();
  /** A set is being sent by this code, which keeps how to take it back. */
  #isSending = false;
  /** Losses that are told when what is shown is right. */
  #lost: LostWrite[] = [];

  constructor(host: StatePartHost, values: Values) {
    this.#host = host;
    this.#values = values;
  }

  // ---- what comes in ----

  /** Takes pages of the log, in their order. */
  take(pages: readonly Page[]): void {
    const touched = new Set<string>();
    for (const page of pages) {
      if (page.full) for (const key of this.#stored.keys()) touched.add(key);
      fold(
        this.#stored,
        page,
        (key, entry) => {
          touched.add(key);
          this.#comes(key, entry);
        },
        ({ tag, author }) => this.#isOwn(author) && this.#steps.landing(tag, this.#stored),
      );
    }
    this.show(touched);
    this.#tell();
  }

  #isOwn(author: string): boolean {
    return author === this.#host.session.user;
  }

  /** An entry is to be stored: what it means for one's own. */
  #comes(key: string, entry: StateEntry): void {
    const mine = this.#mine.get(key);
    const isLater = mine && mine.seq < entry.seq;
    if (isLater) this.#mine.delete(key);
    if (this.#isOwn(entry.author)) return;
    this.#theirs.set(key, entry);
    if (isLater) this.#loses(key, mine, entry);
  }

  /** Somebody else's set is behind one's own. */
  #loses(key: string, mine: { value: unknown; at: number }, theirs: StateEntry): void {
    if (Date.parse(theirs.at) - mine.at <= RACE_MS)
      this.#lost.push({ ...this.#loss(key, mine.value, theirs), mineAt: new Date(mine.at) });
  }

  #loss(key: string, mine: unknown, theirs?: StateEntry, error?: RoomlogError): LostWrite {
    return {
      key,
      mine,
      mineAt: undefined,
      theirs: theirs?.value,
      by: theirs?.author ?? '',
      at: new Date(theirs?.at ?? Date.now()),
      error,
      putBack: () => this.set({ [key]: mine ?? null }),
    };
  }

  #tell(): void {
    for (const lost of this.#lost.splice(0)) this.#host.events.emit('lost', lost);
  }

  /** Forgets everything but what is on its way. */
  clear(): void {
    const touched = [...this.#stored.keys()];
    this.#stored.clear();
    this.#mine.clear();
    this.#theirs.clear();
    this.#steps.clear();
    this.show(touched);
  }

  // ---- what is shown ----

  /** Shows what is stored, and over it what is on its way; `touched` are the stored keys that may be others. */
  show(touched: Iterable<string> = []): void {
    if (this.#fresh?.state !== 'queued') this.#fresh = undefined;
    const laid = this.#overlay();
    const values = bare(this.#values.get());
    let isNew = false;
    for (const key of new Set([...touched, ...this.#laid, ...laid.keys()])) {
      const { value, meta } = laid.get(key) ?? this.#of(key);
      if (!same(value, values[key])) {
        if (value === undefined) delete values[key];
        else values[key] = value;
        isNew = true;
      }
      if (!same(meta, this.#metas.get(key))) {
        if (meta) this.#metas.set(key, meta);
        else this.#metas.delete(key);
        isNew = true;
      }
    }
    this.#laid = new Set(laid.keys());
    const undoable = { undo: this.#steps.undo.length > 0, redo: this.#steps.redo.length > 0 };
    if (!same(undoable, this.#values.undoable)) {
      this.#values.undoable = undoable;
      isNew = true;
    }
    if (isNew) this.#values.value.set(Object.freeze(values));
  }

  /** Where what is shown of a key comes from. */
  meta(key: string): StateMeta | undefined {
    return this.#metas.get(key);
  }

  /** A stored key. */
  #of(key: string): Shown {
    const entry = this.#stored.get(key);
    if (!entry) return { value: undefined, meta: undefined };
    const { value, deleted = false, seq, author, at } = entry;
    const own = this.#isOwn(author);
    return { value, meta: { seq, author, own, at: new Date(at), pending: false, deleted } };
  }

  /** What is on its way, by key. */
  #overlay(): Map<string, Shown> {
    const laid = new Map<string, Shown>();
    for (const { type, data, tag, seq, author, own, at, delivery } of this.#host.log.ours) {
      if (type !== STATE || delivery === 'failed') continue;
      const pending = delivery !== 'sent';
      if (pending) this.#follow(tag, Object(data));
      for (const [key, set] of Object.entries(Object(data))) {
        if (seq !== null && seq <= (this.#stored.get(key)?.seq ?? 0)) continue;
        const value = set ?? undefined;
        laid.set(key, { value, meta: { seq, author, own, at, pending, deleted: set === null } });
      }
    }
    return laid;
  }

  // ---- what is set here ----

  set(given: object, { ifSeq }: { ifSeq?: number } = {}): SendHandle<unknown> {
    // As it is now: the caller may change the object afterwards.
    const patch = JSON.parse(JSON.stringify(given)) as Patch;
    if (Object.keys(patch).length === 0) throw new TypeError('A set names at least one key.');
    this.#steps.redo = [];
    return this.#send(patch, ifSeq, 'undo');
  }

  #send(patch: Patch, ifSeq: number | undefined, stack: 'undo' | 'redo'): SendHandle<unknown> {
    const { room, outbox } = this.#host;
    const before = new Map(Object.keys(patch).map(key => [key, this.#values.get(key) as unknown]));
    let handle = ifSeq === undefined ? this.#join(patch) : undefined;
    if (!handle) {
      this.#isSending = true;
      handle = room.messages.send(patch, { type: STATE, ifSeq }) as SendHandle<unknown>;
      this.#isSending = false;
      const last = outbox.entries.at(-1);
      this.#fresh =
        last?.tag === handle.tag && last.state === 'queued' && ifSeq === undefined ? last : undefined;
    }
    this.#steps.push(stack, { patch, tag: handle.tag, before, seq: undefined });
    this.show();
    return handle;
  }

  /** Lets a set go out with the one before it, where that is the last of the room's sends and never went out. */
  #join(patch: Patch): SendHandle<unknown> | undefined {
    const { room, outbox, keeper, log } = this.#host;
    const fresh = this.#fresh;
    const sent = fresh && this.#sent.get(fresh.tag);
    if (!sent || fresh !== outbox.entries.at(-1)) return undefined;
    const data = { ...sent.data, ...patch };
    const json = JSON.stringify(data);
    if (Object.keys(data).length > MAX_KEYS || json.length > MAX_LENGTH) return undefined;
    sent.data = data;
    Object.assign(fresh, { data, json });
    keeper.keep(room.id, fresh);
    log.changed(fresh);
    return sent.handle;
  }

  /** Sees how a set ends, also one that was made before this code was loaded, or kept from before a reload. */
  #follow(tag: string, data: Patch): void {
    if (this.#sent.has(tag)) return;
    // The handle of the same send.
    const handle = this.#host.room.messages.send(data, { type: STATE, tag }) as SendHandle<unknown>;
    const sent = { data, handle };
    this.#sent.set(tag, sent);
    if (!this.#isSending) {
      const before = new Map(Object.keys(data).map(key => [key, this.#stored.get(key)?.value]));
      this.#steps.push('undo', { patch: data, tag, before, seq: undefined });
    }
    handle.then(
      message => this.#settled(tag, sent, message),
      error => this.#refused(tag, sent, error),
    );
  }

  #settled(tag: string, { data }: Sent, { seq, at }: Message<unknown>): void {
    this.#sent.delete(tag);
    this.#steps.stored(tag, seq as number);
    for (const [key, set] of Object.entries(data)) {
      const mine = { value: set ?? undefined, seq: seq as number, at: at.getTime() };
      const now = this.#stored.get(key);
      if (!now || now.seq <= mine.seq) this.#mine.set(key, mine);
      else if (!this.#isOwn(now.author)) this.#loses(key, mine, now);
    }
    this.#tell();
  }

  #refused(tag: string, { data }: Sent, error: RoomlogError): void {
    const { room, session } = this.#host;
    this.#sent.delete(tag);
    if (session.givenUp) return; // it may be stored after all, or goes out when there is a connection again
    this.#steps.refused(tag);
    room.messages.discard(tag);
    this.show();
    if (error.code === 'cancelled') return;
    for (const [key, set] of Object.entries(data)) {
      const { current = {} } = error;
      const theirs = Object.hasOwn(current, key) ? current[key] : this.#stored.get(key);
      this.#lost.push(this.#loss(key, set ?? undefined, theirs, error));
    }
    this.#tell();
  }

  async update(change: (draft: Record<string, unknown>) => void): Promise<Message<unknown> | undefined> {
    const values = this.#values.get();
    const draft = bare(structuredClone({ ...values }));
    change(draft);
    const patch = bare();
    for (const key of new Set([...Object.keys(values), ...Object.keys(draft)])) {
      if (!same(draft[key], values[key])) patch[key] = draft[key] ?? null;
    }
    return Object.keys(patch).length > 0 ? this.set(patch) : undefined;
  }

  // ---- taking back ----

  undo(): Undone | undefined {
    return this.#back('undo', 'redo');
  }

  redo(): Undone | undefined {
    return this.#back('redo', 'undo');
  }

  #back(from: 'undo' | 'redo', to: 'undo' | 'redo'): Undone | undefined {
    const step = this.#steps[from].pop();
    if (!step) return undefined;
    const patch = bare();
    const skipped: LostWrite[] = [];
    for (const [key, value] of step.before) {
      const theirs = this.#theirs.get(key);
      if (step.seq !== undefined && theirs && theirs.seq > step.seq)
        skipped.push(this.#loss(key, value, theirs));
      else patch[key] = value ?? null;
    }
    const keys = Object.keys(patch);
    // What others set and was not seen here is not to be written over. While one's own are on their way there is nothing to compare with.
    const ifSeq = keys.some(key => this.#laid.has(key)) ? undefined : this.#host.room.status.get().seq;
    const sent = keys.length > 0 ? this.#send(patch, ifSeq, to) : undefined;
    this.show();
    return { keys, skipped, sent };
  }
}
