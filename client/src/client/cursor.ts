import { fitPage } from '../protocol/check.js';
import type { ErrorFrame, JoinedFrame, Page, PageFrame, ResetFrame } from '../protocol/frames.js';
import { jitter } from '../transport/backoff.js';
import { concernsConnection, RoomlogError } from './error.js';
import { Value } from './readable.js';
import type { Session, Subscriber } from './session.js';
import type { StoredWindow } from './storage.js';
import type { Gap, RoomOptions, RoomState, RoomStatus } from './types.js';

/** What a cursor tells its room. */
export interface CursorEvents {
  /** The window begins anew behind `page.prev`; `reason` where that is a reset. The page itself follows by `page`. */
  replaced(at: { epoch: string; page: Page; reason: string | undefined }): void;
  /** A page that adjoins. Of its events, those up to `replayedTo` were in the room when it was joined. */
  page(page: Page, replayedTo: number): void;
  gap(gap: Gap): void;
  denied(error: RoomlogError): void;
  /** What a join asks for besides. */
  joining(): object;
}

/** Where the cursor stands, once a page has placed it. */
interface Place {
  epoch: string;
  seq: number;
}

/**
 * One room's cursor: joins, takes pages that adjoin (PAGE-3), joins again where they do not (PAGE-4), begins anew
 * on a reset (RESET-3). Its position moves by pages only, never by acks (ACK-3).
 */
export class RoomCursor {
  readonly status: Value<RoomStatus>;
  position: string | undefined;
  floor = 1;

  readonly #room: string;
  readonly #session: Session;
  readonly #owner: Subscriber;
  #options: RoomOptions;
  readonly #events: CursorEvents;

  #attached = false;
  #place: Place | undefined;
  #head = 0;
  #replayedTo = 0;
  /** The join under way: its id, whether it named a position, and whether the room is joined already and asks for something more. */
  #join: { id: number; from: string | undefined; quiet: boolean } | undefined;
  #resetReason: string | undefined;
  #hole: { from: number; to: number } | undefined;
  #gaps = 0;
  #denied: RoomlogError | undefined;
  /** Joins since the last page was taken, and the timer of the next one. */
  #tries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(room: string, session: Session, owner: Subscriber, options: RoomOptions, events: CursorEvents) {
    this.#room = room;
    this.#session = session;
    this.#owner = owner;
    this.#options = options;
    this.#events = events;
    this.position = options.position;
    this.status = new Value(this.#snapshot());
  }

  /** The numbering that the window belongs to; undefined before the first page. */
  get epoch(): string | undefined {
    return this.#place?.epoch;
  }

  /** Takes other options, until the room is first attached. */
  configure(options: RoomOptions): void {
    this.#options = options;
    this.position ??= options.position;
  }

  /** Begins with a window that was kept, unless it has begun already: the next join goes on behind it. */
  seed(window: StoredWindow): void {
    if (this.#place || this.position !== undefined) return;
    // As the answer to a join without a position would.
    this.#join = { id: 0, from: undefined, quiet: false };
    this.joined({ op: 'joined', id: 0, head: window.seq, page: window, ...window });
  }

  /** Forgets where it stood; the next join begins with the latest page. */
  clear(): void {
    this.position = this.#place = this.#hole = undefined;
    this.#head = 0;
    this.#publish();
  }

  /** Follows the room from now on. */
  attach(): void {
    this.#attached = true;
    this.up();
  }

  /** Leaves the room; the position stays. */
  detach(): void {
    this.#attached = false;
    this.#session.tell(id => ({ op: 'leave', id, room: this.#room }));
    this.down();
  }

  /** Connected. */
  up(): void {
    this.#denied = undefined;
    this.#tries = 0;
    this.#rejoin();
  }

  /** No longer connected, or no longer attached. */
  down(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#join = undefined;
    this.#publish();
  }

  /** An ack shows that the room goes at least this far. */
  headSeen(seq: number): void {
    this.#head = Math.max(this.#head, seq);
    this.#publish();
  }

  /** The answer to a join (JOIN-2). One that is not the last join's is of a cursor that was moved since. */
  joined(frame: JoinedFrame): void {
    const join = this.#join;
    if (!join || frame.id !== join.id) return;
    this.#join = undefined;
    this.#head = frame.head;
    this.#replayedTo = frame.head;
    this.floor = frame.floor;
    const reason = frame.reset?.reason ?? this.#resetReason;
    if (frame.reset || join.from === undefined || !this.#place) {
      this.#replace(frame, reason);
    }
    this.#offer(frame.epoch, frame.page);
    this.#publish();
  }

  /** A page that followed. */
  page(frame: PageFrame): void {
    if (!this.#attached || !this.#place) return; // JOIN-10, or on its way when a reset ended the cursor
    this.#offer(frame.epoch, frame);
    this.#publish();
  }

  /** The cursor has ended (RESET-2): join again, without a position. */
  reset(frame: ResetFrame): void {
    if (!this.#attached) return;
    this.position = this.#place = undefined;
    this.#head = 0;
    this.#resetReason = frame.reason;
    this.#rejoin();
  }

  /**
   * True if the error answered the join, or ended the cursor: the server says so without being asked when the room
   * is taken away (ACC-4, AUTH-10). With a join under way, its answer decides.
   */
  refused(frame: ErrorFrame): boolean {
    const ended = this.#attached && !this.#join && frame.id === undefined;
    if (!ended && (!this.#join || frame.id !== this.#join.id)) return false;
    this.#join = undefined;
    if (concernsConnection(frame.code)) return true;
    if (frame.retryable) {
      this.#rejoinLater(frame.retry_after_ms ?? 0);
    } else {
      this.#denied = new RoomlogError(frame);
      this.#events.denied(this.#denied);
    }
    this.#publish();
    return true;
  }

  #replace(frame: JoinedFrame, reason: string | undefined): void {
    this.#place = { epoch: frame.epoch, seq: frame.page.prev };
    this.#resetReason = undefined;
    this.#close(false);
    this.#events.replaced({ epoch: frame.epoch, page: frame.page, reason });
  }

  #offer(epoch: string, page: Page): void {
    const place = this.#place as Place;
    const fitted = fitPage(place, epoch, page);
    if (fitted === 'hole') this.#missed(epoch, page);
    if (typeof fitted === 'string') return;
    place.seq = page.seq;
    this.position = page.position;
    this.#head = Math.max(this.#head, page.seq);
    // An empty page that answers a rejoin adjoins too, but does not show that the hole is mended.
    if (page.events.length > 0) this.#tries = 0;
    this.#events.page(fitted, this.#replayedTo);
    if (this.#hole && place.seq >= this.#hole.to) this.#close(true);
  }

  #close(recovered: boolean): void {
    const hole = this.#hole;
    this.#hole = undefined;
    if (hole) this.#events.gap({ ...hole, recovered });
  }

  #missed(epoch: string, page: Page): void {
    const place = this.#place as Place;
    this.#session.log('warn', 'room.gap', { room: this.#room, at: place.seq, prev: page.prev, epoch });
    if (!this.#hole) {
      this.#gaps++;
      const from = place.seq + 1; // the numbers of another numbering say nothing of this one
      this.#hole = { from, to: epoch === place.epoch ? Math.max(from, page.prev) : from };
      this.#events.gap({ ...this.#hole, recovered: false });
    }
    if (!(this.#join || this.#timer)) this.#rejoinLater(0);
  }

  /** The first join after a page that was taken goes at once, the others wait: a hole must not become a storm. */
  #rejoinLater(atLeastMs: number): void {
    const wait = Math.max(atLeastMs, this.#tries && jitter(this.#tries));
    const go = () => {
      this.#tries++;
      this.#rejoin();
    };
    clearTimeout(this.#timer);
    if (!wait) go();
    else this.#timer = setTimeout(go, wait);
  }

  /** Joins again from where it stands, for a join that asks for something more. */
  again(): void {
    this.#rejoin(!this.#join);
  }

  #rejoin(quiet = false): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#join = undefined;
    if (this.#attached && this.#session.isUp) {
      const from = this.position;
      // Another node may have acked what goes beyond; what is undefined is not sent.
      const seen = this.#head > (this.#place?.seq ?? 0) ? this.#head : undefined;
      const { limit, replay } = this.#options;
      const join = { room: this.#room, position: from, limit, replay, seen, ...this.#events.joining() };
      const id = this.#session.request(this.#owner, id => ({ op: 'join', id, ...join }));
      this.#join = { id, from, quiet };
    }
    this.#publish();
  }

  #state(): RoomState {
    if (!this.#attached) return 'detached';
    if (this.#denied) return 'denied';
    if ((this.#join && !this.#join.quiet) || !this.#place || !this.#session.isUp) return 'attaching';
    return this.#place.seq < this.#replayedTo || this.#hole ? 'catching-up' : 'live';
  }

  #snapshot(): RoomStatus {
    const seq = this.#place?.seq ?? 0;
    return {
      state: this.#state(),
      seq,
      behind: this.#place ? Math.max(0, this.#head - seq) : 0,
      gaps: this.#gaps,
      loaded: !!(this.#place || this.status?.get().loaded),
      error: this.#denied,
    };
  }

  #publish(): void {
    this.status.update(this.#snapshot());
  }
}
