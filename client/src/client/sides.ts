import { later } from '../transport/later.js';
import type { RoomCursor } from './cursor.js';
import type { Keeper } from './keeper.js';
import type { Broadcast, Marks, Member, Occupancy, Reach } from './people.js';
import { type Emitter, Value } from './readable.js';
import type { Session } from './session.js';
import type { SidesPart } from './sides/part.js';
import type { Timeline } from './timeline.js';
import type { Message, Room, RoomEvents } from './types.js';

type Side = 'presence' | 'signals' | 'receipts' | 'parts';

const NONE: readonly never[] = [];
const NOBODY: Reach = { any: 0, all: 0 };

/** What sides need of their room. */
export interface SidesHost {
  readonly room: Room<unknown>;
  readonly session: Session;
  /** Joins once more where the join is to ask for something else. */
  readonly cursor: RoomCursor;
  /** Gives an application what somebody broadcast. */
  readonly events: Emitter<RoomEvents>;
  /** Keeps how far the room was read. */
  readonly keeper: Keeper;
  /** Its rows, over which the texts of messages that stream are laid. */
  readonly log: Timeline;
}

/** What a room shows beside its log (SIDE): its values, and the way to the code that fills them, loaded when it is first used. */
export class Sides {
  /** What a join says of the client's own user. */
  own: { present?: boolean; presence?: object; parts?: Record<string, number> } = {};
  /** The sides that joins ask for. */
  readonly wanted = new Set<string>();

  readonly #host: SidesHost;
  /** How many sides the last join asked for. */
  #joined = 0;
  readonly #part = later(async () => {
    const { SidesPart } = await import('./sides/part.js');
    return new SidesPart(this.#host, this);
  });

  constructor(host: SidesHost) {
    this.#host = host;
  }

  readonly presence = {
    self: this.#asked<Member<unknown> | null>('presence', null),
    others: this.#asked<readonly Member<unknown>[]>('presence', NONE),
    occupancy: this.#asked<Occupancy>('presence', { users: 0, connections: 0, counts: false, stale: true }),
    set: (patch: object) => this.use('presence', part => part.presence.set(patch)),
    leave: () => this.use('presence', part => part.presence.leave()),
  };

  readonly typing = {
    who: this.#asked<readonly string[]>('signals', NONE),
    keystroke: () => this.use('signals', part => part.signals.keystroke()),
    stop: () => this.use('signals', part => part.signals.stop()),
  };

  readonly broadcasts = this.#asked<readonly Broadcast[]>('signals', NONE);

  readonly receipts = {
    lastRead: this.#asked('receipts', 0),
    unread: this.#asked('receipts', 0),
    firstUnread: this.#asked<number | null>('receipts', null),
    marks: this.#asked<Marks>('receipts', { users: NONE, delivered: NOBODY, read: NOBODY }),
    markRead: (upTo?: number) => this.use('receipts', part => part.receipts.markRead(upTo)),
    readers: (seq: number) => this.#part.code?.receipts.readers(seq) ?? NONE,
    reached: (seq: number) => this.#part.code?.receipts.reached(seq) ?? 'sent',
  } as const;

  #asked<T>(side: Side, value: T): Value<T> {
    return new Value(value, () => this.use(side));
  }

  /** Messages are shown: the parts of one that streams are asked for (PART-9). */
  look(rows: readonly Message<unknown>[]): void {
    if (rows.some(({ data }) => Object(data).streaming)) this.use('parts');
  }

  /** What a join is to ask for. */
  joining(): object {
    this.#joined = this.wanted.size;
    return this.#joined > 0 ? { with: [...this.wanted], ...this.own } : {};
  }

  /** Asks for a side from now on, and does something with it when its code is there. */
  use(side: Side, then?: (part: SidesPart) => void): void {
    this.wanted.add(side);
    this.tell(part => {
      if (this.#joined < this.wanted.size) this.#host.cursor.again();
      then?.(part);
    });
  }

  /** Tells the code that fills the values, if it is in use. */
  tell(what: (part: SidesPart) => void): void {
    if (this.wanted.size > 0) void this.#part(what);
  }
}
