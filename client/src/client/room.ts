import type { Page, ServerFrame, WireEvent } from '../protocol/frames.js';
import { RoomCursor } from './cursor.js';
import { lazily, localError, type RoomlogError } from './error.js';
import type { HistoryQuery, ReadPage } from './history.js';
import type { Keeper } from './keeper.js';
import { type Entry, Outbox } from './outbox.js';
import { Emitter, type Readable, type Unsubscribe, Value } from './readable.js';
import { Recent } from './recent.js';
import type { Session, Subscriber } from './session.js';
import { newTag } from './tag.js';
import { MESSAGE, Timeline, toMessage } from './timeline.js';
import type {
  HistoryOptions,
  HistoryPage,
  HistoryView,
  HistoryViewOptions,
  Message,
  Messages,
  Older,
  Room,
  RoomEvents,
  RoomOptions,
  RoomStatus,
  SendHandle,
  SendOptions,
} from './types.js';

type Any = Message<unknown>;

/** How many messages the live window holds unless told otherwise. */
const WINDOW = 5_000;

/** The promise of a send that is not settled yet. */
interface Promised {
  handle: SendHandle<unknown>;
  resolve(message: Any): void;
  reject(error: RoomlogError): void;
}

/** What a room needs besides its id. */
export interface RoomNeeds {
  session: Session;
  /** Reads a page of a room's history. */
  read(room: string, query: HistoryQuery): Promise<ReadPage>;
  options: RoomOptions;
  keeper: Keeper;
}

/** One room: its cursor, its outbox and its timeline, which know nothing of each other. */
export class RoomlogRoom implements Room<unknown>, Subscriber, Messages<unknown> {
  readonly id: string;
  readonly older: Value<Older>;
  /** For the client: what it keeps. */
  readonly outbox: Outbox;

  readonly #session: Session;
  readonly #read: (query: HistoryQuery) => Promise<ReadPage>;
  readonly #events = new Emitter<RoomEvents>();
  readonly #cursor: RoomCursor;
  readonly #timeline: Timeline;
  readonly #recent: Recent;
  readonly #keeper: Keeper;
  readonly #promised = new Map<string, Promised>();
  #attached = 0;
  #leave: ReturnType<typeof setTimeout> | undefined;
  #loading: Promise<{ done: boolean }> | undefined;

  constructor(id: string, { session, read, options, keeper }: RoomNeeds) {
    this.id = id;
    this.#session = session;
    this.#read = query => read(id, query);
    this.#keeper = keeper;
    this.#recent = new Recent(id, keeper);
    this.outbox = new Outbox(id, session, this, keeper, {
      changed: entry => this.#timeline.changed(entry),
      acked: (entry, ack) => {
        this.#cursor.headSeen(ack.seq);
        this.#settle(entry.tag, this.#timeline.acked(entry, ack));
      },
      failed: (entry, error) => {
        this.#timeline.changed(entry);
        this.#promised.get(entry.tag)?.reject(error);
        this.#promised.delete(entry.tag);
      },
    });
    this.#timeline = new Timeline(this.outbox.entries, () => session.user ?? '', options.window ?? WINDOW);
    this.older = new Value<Older>({ hasMore: false, loading: false, error: undefined });
    this.#cursor = new RoomCursor(id, session, this, options, {
      replaced: at => {
        this.#timeline.replace(at.page.prev, at.reason !== undefined);
        this.#recent.replaced();
        this.#showOlder();
        const { reason, epoch, page } = at;
        if (reason) this.#events.emit('reset', { reason, epoch, from: page.prev, seq: page.seq });
      },
      page: (page, replayedTo) => this.#take(page, replayedTo),
      gap: gap => this.#events.emit('gap', gap),
      denied: error => {
        this.#recent.drop();
        session.events.emit('error', error);
      },
    });
  }

  get messages(): Messages<unknown> {
    return this;
  }

  get status(): Readable<RoomStatus> {
    return this.#cursor.status;
  }

  get position(): string | undefined {
    return this.#cursor.position;
  }

  get list(): Readable<readonly Any[]> {
    return this.#timeline.list;
  }

  on<K extends keyof RoomEvents>(event: K, fn: (event: RoomEvents[K]) => void): Unsubscribe {
    return this.#events.on(event, fn);
  }

  /** For the client: options that come after the room was made, before it was first attached. */
  configure(options: RoomOptions): void {
    this.#cursor.configure(options);
  }

  attach(): Unsubscribe {
    let attached = true;
    clearTimeout(this.#leave);
    if (this.#attached++ === 0 && this.#leave === undefined) {
      this.#session.openUnlessOver();
      if (this.#keeper.keepsWindows && this.position === undefined) void this.#begin();
      else this.#cursor.attach();
    }
    this.#leave = undefined;
    return () => {
      if (!attached) return;
      attached = false;
      if (--this.#attached > 0) return;
      this.#leave = setTimeout(() => {
        this.#leave = undefined;
        this.#cursor.detach();
      });
    };
  }

  /** Shows the window that was kept, then follows the room from behind it. */
  async #begin(): Promise<void> {
    const user = this.#session.user;
    const window = await this.#recent.read();
    if (window && user === this.#session.user) this.#cursor.seed(window);
    if (this.#attached > 0) this.#cursor.attach();
  }

  /** For the keeper: writes what has gathered. */
  write(): void {
    this.#recent.write();
  }

  /** For the keeper: shows nothing of what another user was given. */
  clear(): void {
    this.#cursor.clear();
    this.#recent.replaced();
    this.#timeline.replace(0, true);
    this.#showOlder();
  }

  // ---- sends ----

  send(data: unknown, { type = MESSAGE, tag: given }: SendOptions = {}): SendHandle<unknown> {
    const json = JSON.stringify(data) as string | undefined;
    if (json === undefined) throw new TypeError('The data of a send must be a JSON value.');
    const tag = given?.toLowerCase() ?? newTag();
    const before = this.#promised.get(tag);
    if (before) return before.handle; // the same send once more
    const known = this.outbox.find(tag);
    const handle = this.#promise(tag);
    if (known?.state === 'failed')
      this.outbox.discard(known); // made anew by the application
    else if (known) return handle; // kept from before a reload: the same send once more
    const entry = this.outbox.add({ tag, type, data, json });
    this.#failIfOver(entry);
    return handle;
  }

  retry(tag: string): void {
    const entry = this.outbox.find(tag);
    if (entry?.state !== 'failed') return;
    if (!this.#promised.has(tag)) this.#promise(tag);
    this.outbox.retry(entry);
    this.#failIfOver(entry);
  }

  discard(tag: string): boolean {
    const entry = this.outbox.find(tag);
    if (!entry || !this.outbox.discard(entry)) return false;
    this.#promised.get(tag)?.reject(localError('cancelled', 'The send was cancelled.', false));
    this.#promised.delete(tag);
    return true;
  }

  #failIfOver(entry: Entry): void {
    const over = this.#session.givenUp;
    if (over && entry.state === 'queued') this.outbox.give(over);
  }

  #promise(tag: string): SendHandle<unknown> {
    let settle!: Pick<Promised, 'resolve' | 'reject'>;
    const promise = new Promise<Any>((resolve, reject) => {
      settle = { resolve, reject };
    });
    promise.catch(() => {}); // the list shows it; who awaits the handle still hears of it
    const handle = Object.assign(promise, {
      tag,
      cancel: () => this.discard(tag),
      retry: (): SendHandle<unknown> => {
        this.retry(tag);
        return this.#promised.get(tag)?.handle ?? handle;
      },
    });
    this.#promised.set(tag, { handle, ...settle });
    return handle;
  }

  #settle(tag: string, message: Any): void {
    this.#promised.get(tag)?.resolve(message);
    this.#promised.delete(tag);
  }

  // ---- what comes in ----

  up(): void {
    this.#cursor.up();
    this.outbox.up();
  }

  down(): void {
    this.#cursor.down();
    this.outbox.down();
  }

  give(up: RoomlogError): void {
    this.outbox.give(up);
  }

  frame(frame: ServerFrame): void {
    if (frame.op === 'joined') this.#cursor.joined(frame);
    else if (frame.op === 'page') this.#cursor.page(frame);
    else if (frame.op === 'reset') this.#cursor.reset(frame);
    else if (frame.op === 'ack') this.outbox.ack(frame);
    else if (frame.op === 'error' && !this.#cursor.refused(frame)) this.outbox.refused(frame);
  }

  #own = (event: WireEvent): boolean => event.author === this.#session.user;

  #take(page: Page, replayedTo: number): void {
    for (const event of page.events) {
      const stored = this.#own(event) ? this.outbox.stored(event.tag) : undefined;
      if (stored) {
        this.#timeline.changed(stored);
        this.#settle(stored.tag, toMessage(event, true));
      }
    }
    this.#timeline.append(page, this.#own);
    if (this.#timeline.base >= this.#cursor.floor) this.#showOlder();
    this.#recent.took(page, this.#cursor.epoch as string, this.#cursor.floor);
    for (const event of page.events) {
      const { seq, type, tag, author, data } = event;
      const via = seq <= replayedTo ? 'replay' : 'live';
      this.#events.emit('event', {
        seq,
        type,
        tag,
        author,
        own: this.#own(event),
        at: new Date(event.at),
        data,
        via,
      });
    }
  }

  // ---- history ----

  get #reading() {
    return { read: this.#read, own: this.#own, liveFrom: () => this.#timeline.base };
  }

  loadOlder(limit = 50): Promise<{ done: boolean }> {
    this.#loading ??= this.#loadOlder(limit).finally(() => {
      this.#loading = undefined;
      this.#showOlder({ loading: false });
    });
    return this.#loading;
  }

  async #loadOlder(limit: number): Promise<{ done: boolean }> {
    if (!this.older.get().hasMore) return { done: true };
    this.#showOlder({ loading: true, error: undefined });
    const { epoch } = this.#cursor;
    try {
      const page = await this.#read({ before: this.#timeline.base + 1, limit });
      if (page.epoch === epoch && epoch === this.#cursor.epoch) {
        this.#cursor.floor = page.floor;
        this.#timeline.prepend(page, this.#own);
      }
    } catch (error) {
      this.#showOlder({ error: error as RoomlogError });
      throw error;
    }
    this.#showOlder();
    return { done: !this.older.get().hasMore };
  }

  #showOlder(changes: Partial<Older> = {}): void {
    const hasMore = this.#timeline.base >= this.#cursor.floor;
    this.older.set({ ...this.older.get(), ...changes, hasMore });
  }

  async view(options?: HistoryViewOptions): Promise<HistoryView<unknown>> {
    return (await lazily(import('./view.js'))).openView(this.#reading, options);
  }

  async history(options?: HistoryOptions): Promise<HistoryPage<unknown>> {
    return (await lazily(import('./view.js'))).readHistory(this.#reading, options);
  }
}
