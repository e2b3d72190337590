import { isPage } from '../protocol/check.js';
import type { Page, ServerFrame } from '../protocol/frames.js';
import { toMessage } from './change.js';
import { RoomCursor } from './cursor.js';
import { lazily, localError, type RoomlogError } from './error.js';
import type { RoomHost } from './host.js';
import type { Keeper } from './keeper.js';
import { type Entry, Outbox } from './outbox.js';
import { Emitter, type Readable, type Unsubscribe, Value } from './readable.js';
import type { Recent } from './recent.js';
import type { RequestNeeds } from './request.js';
import type { Session, Subscriber } from './session.js';
import type { SideFrame } from './sides/snapshot.js';
import { Sides } from './sides.js';
import { newTag } from './tag.js';
import { MESSAGE, Timeline } from './timeline.js';
import type {
  Broadcast,
  BroadcastOptions,
  HistoryOptions,
  HistoryPage,
  HistoryView,
  HistoryViewOptions,
  Message,
  Messages,
  Older,
  Presence,
  Receipts,
  Room,
  RoomEvent,
  RoomEvents,
  RoomOptions,
  RoomStatus,
  SendHandle,
  SendOptions,
  Typing,
} from './types.js';
import { Values } from './values.js';

type Any = Message<unknown>;

/** The promise of a send that is not settled yet. */
interface Promised {
  handle: SendHandle<unknown>;
  resolve(message: Any): void;
  reject(error: RoomlogError): void;
}

/** What a room needs besides its id. */
export interface RoomNeeds {
  session: Session;
  requests: RequestNeeds;
  options: RoomOptions;
  keeper: Keeper;
}

/** One room: its cursor, its outbox and its timeline, which know nothing of each other. */
export class RoomlogRoom
  implements Room<unknown, unknown, Record<string, unknown>>, Subscriber, Messages<unknown>
{
  readonly id: string;
  readonly older: Value<Older>;
  /** For the client: what it keeps. */
  readonly outbox: Outbox;
  readonly state: Values;
  /** For the package's own entries, such as that of documents. */
  readonly host: RoomHost;

  readonly #session: Session;
  readonly #events = new Emitter<RoomEvents>();
  readonly #cursor: RoomCursor;
  readonly #timeline: Timeline;
  readonly #keeper: Keeper;
  readonly #sides: Sides;
  readonly #promised = new Map<string, Promised>();
  #attached = 0;
  #leave: ReturnType<typeof setTimeout> | undefined;
  #loading: Promise<{ done: boolean }> | undefined;

  constructor(id: string, { session, requests, options, keeper }: RoomNeeds) {
    this.id = id;
    this.#session = session;
    this.#keeper = keeper;
    this.outbox = new Outbox(id, session, this, keeper, {
      changed: entry => this.#changed(entry),
      acked: (entry, ack) => {
        this.#cursor.headSeen(ack.seq);
        const message = this.#timeline.acked(entry, ack);
        this.#changed(entry);
        this.#settled(entry.tag)?.resolve(message);
      },
      failed: (entry, error) => {
        this.#changed(entry);
        this.#settled(entry.tag)?.reject(error);
      },
    });
    const { window = 5_000, tombstones = false } = options;
    this.#timeline = new Timeline(this.outbox.entries, () => session.user ?? '', window, tombstones);
    this.older = new Value<Older>({ hasMore: false, loading: false, error: undefined });
    this.#cursor = new RoomCursor(id, session, this, options, {
      replaced: ({ reason, epoch, page }) => {
        this.#timeline.replace(page.prev, reason !== undefined);
        this.state.clear();
        this.#kept(recent => recent.replaced());
        this.#showOlder();
        if (reason) this.#events.emit('reset', { reason, epoch, from: page.prev, seq: page.seq });
      },
      page: (page, replayedTo) => this.#take(page, replayedTo),
      gap: gap => this.#events.emit('gap', gap),
      joining: () => this.#sides.joining(),
      denied: error => {
        this.#kept(recent => recent.drop());
        session.events.emit('error', error);
      },
    });
    this.host = {
      room: this as Room<unknown, unknown, unknown> as Room<unknown>,
      session,
      cursor: this.#cursor,
      events: this.#events,
      keeper,
      log: this.#timeline,
      outbox: this.outbox,
      requests,
    };
    this.#sides = new Sides(this.host);
    this.state = new Values(this.host);
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

  get presence(): Presence<unknown> {
    return this.#sides.presence;
  }

  get typing(): Typing {
    return this.#sides.typing;
  }

  get receipts(): Receipts {
    return this.#sides.receipts;
  }

  get broadcasts(): Readable<readonly Broadcast[]> {
    return this.#sides.broadcasts;
  }

  broadcast(type: string, data: unknown, { key = '' }: BroadcastOptions = {}): void {
    this.#sides.use('signals', part => part.signals.broadcast(type, key, data));
  }

  on<K extends keyof RoomEvents>(event: K, fn: (event: RoomEvents[K]) => void): Unsubscribe {
    if (event === 'broadcast') this.#sides.use('signals');
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
        this.#sides.tell(part => part.down());
      });
    };
  }

  /** Shows the window that was kept, then follows the room from behind it. */
  async #begin(): Promise<void> {
    const user = this.#session.user;
    const window = await this.#keeper.readWindow(this.id);
    if (isPage(window) && user === this.#session.user) this.#cursor.seed(window);
    if (this.#attached > 0) this.#cursor.attach();
  }

  /** Tells what keeps the newest events, if they are kept. */
  #kept(what: (recent: Recent) => void): void {
    void this.#keeper.tell(kept => what(kept.recent(this.id)));
  }

  /** For the keeper: shows nothing of what another user was given. */
  clear(): void {
    this.#cursor.clear();
    this.#kept(recent => recent.replaced());
    this.#timeline.replace(0, true);
    this.state.clear();
    this.#showOlder();
  }

  // ---- sends ----

  send(data: unknown, { type = MESSAGE, tag: given, ifSeq }: SendOptions = {}): SendHandle<unknown> {
    const json = JSON.stringify(data) as string | undefined;
    if (json === undefined) throw new TypeError('The data of a send is a JSON value.');
    const tag = given?.toLowerCase() ?? newTag();
    const before = this.#promised.get(tag);
    if (before) return before.handle; // the same send once more
    const known = this.outbox.find(tag);
    const handle = this.#promise(tag);
    if (known?.state === 'failed')
      this.outbox.discard(known); // made anew by the application
    else if (known) return handle; // kept from before a reload: the same send once more
    if (type === MESSAGE) this.#sides.tell(part => part.sent());
    const entry = this.outbox.add({ tag, type, data, json, ifSeq });
    this.#failIfOver(entry);
    return handle;
  }

  edit(target: number | string, data: unknown): SendHandle<unknown> {
    return this.send({ target, data }, { type: 'edit' });
  }

  remove(target: number | string, reason?: string): SendHandle<unknown> {
    return this.send({ target, reason }, { type: 'delete' });
  }

  react(target: number | string, emoji: string, remove?: true): SendHandle<unknown> {
    return this.send({ target, emoji, remove }, { type: 'reaction' });
  }

  unreact(target: number | string, emoji: string): SendHandle<unknown> {
    return this.react(target, emoji, true);
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
    this.#settled(tag)?.reject(localError('cancelled', 'The send was cancelled.', false));
    return true;
  }

  #changed(entry: Entry): void {
    this.#timeline.changed(entry);
    this.state.changed(entry.type);
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

  /** The promise of a send that is settled now, if there is one. */
  #settled(tag: string): Promised | undefined {
    const promised = this.#promised.get(tag);
    this.#promised.delete(tag);
    return promised;
  }

  // ---- what comes in ----

  up(): void {
    this.#cursor.up();
    this.outbox.up();
  }

  down(): void {
    this.#sides.tell(part => part.down());
    this.#cursor.down();
    this.outbox.down();
  }

  give(up: RoomlogError): void {
    this.outbox.give(up);
  }

  frame(frame: ServerFrame): void {
    if (frame.op === 'joined') {
      this.#cursor.joined(frame);
      this.#sides.tell(part => part.joined());
    } else if (frame.op === 'page') this.#cursor.page(frame);
    else if (frame.op === 'reset') this.#cursor.reset(frame);
    else if (frame.op === 'ack') this.outbox.ack(frame);
    else if (frame.op === 'error') {
      if (!this.#cursor.refused(frame)) this.outbox.refused(frame);
    } else this.#sides.tell(part => part.frame(frame as unknown as SideFrame));
  }

  #take(page: Page, replayedTo: number): void {
    const { user = '' } = this.#session;
    for (const event of page.events) {
      const stored = event.author === user ? this.outbox.stored(event.tag) : undefined;
      if (stored) {
        this.#timeline.changed(stored);
        this.#settled(stored.tag)?.resolve(toMessage(event, user));
      }
    }
    this.#timeline.append(page);
    this.state.take(page);
    this.#sides.look(this.#timeline.log);
    if (this.#timeline.base >= this.#cursor.floor) this.#showOlder();
    if (page.docs) this.#events.emit('docs', page.seq);
    const { epoch, floor } = this.#cursor;
    this.#kept(recent => recent.took(page, epoch as string, floor));
    for (const event of page.events) {
      const via = event.seq <= replayedTo ? 'replay' : 'live';
      this.#events.emit('event', { ...(toMessage(event, user) as unknown as RoomEvent), via });
    }
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
    try {
      await (await this.#reader()).loadOlder(this.host, limit);
      this.#sides.look(this.#timeline.log);
    } catch (error) {
      this.#showOlder({ error: error as RoomlogError });
      throw error;
    }
    return { done: !this.#showOlder() };
  }

  /** Says whether there is more. */
  #showOlder(changes: Partial<Older> = {}): boolean {
    const hasMore = this.#timeline.base >= this.#cursor.floor;
    this.older.set({ ...this.older.get(), ...changes, hasMore });
    return hasMore;
  }

  async view(options?: HistoryViewOptions): Promise<HistoryView<unknown>> {
    return (await this.#reader()).openView(this.host, options);
  }

  async history(options?: HistoryOptions): Promise<HistoryPage<unknown>> {
    return (await this.#reader()).readHistory(this.host, options);
  }

  #reader = () => lazily(import('./view.js'));
}
