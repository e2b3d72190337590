import type { Log } from './log.js';

type Fields = Record<string, unknown>;
type Side = 'presence' | 'signals' | 'receipts';
const SIDES: readonly Side[] = ['presence', 'signals', 'receipts'];
/** Unread messages are counted up to here (RCPT-5). */
const MAX_UNREAD = 999;

/** A connection, as the sides of a room see it. */
export interface SidesPeer {
  readonly user: string;
  /** The id that its `welcome` has. */
  readonly connection: string;
  say(frame: { op: string } & Fields): void;
}

/** One connection that has joined: what it asked for, as it was last told; and what it shows of itself. */
interface Seat {
  readonly told: Map<Side, { version: number; values: Map<string, string> }>;
  readonly present: boolean;
  readonly since: string;
  idle: boolean;
  data: object;
}

/** What a room shows beside its log (SIDE): told at once, without the pauses and the grace of a real server. */
export class RoomSides {
  readonly #room: string;
  readonly #log: () => Log;
  readonly #seats = new Map<SidesPeer, Seat>();
  readonly #signals = new Map<string, Fields & { connection: string }>();
  readonly #marks = new Map<string, { delivered: number; read: number }>();

  constructor(room: string, log: () => Log) {
    this.#room = room;
    this.#log = log;
  }

  /** A connection has joined; `at` is the present time. */
  join(peer: SidesPeer, frame: Fields, at: string): void {
    const wanted = Array.isArray(frame.with)
      ? SIDES.filter(side => (frame.with as unknown[]).includes(side))
      : [];
    const before = this.#seats.get(peer);
    this.#seats.set(peer, {
      told: new Map(wanted.map(side => [side, { version: 0, values: new Map() }])),
      present: typeof frame.present === 'boolean' ? frame.present : wanted.includes('presence'),
      since: before?.since ?? at,
      idle: before?.idle ?? false,
      data: typeof frame.presence === 'object' ? Object(frame.presence) : (before?.data ?? {}),
    });
    for (const side of wanted) this.#tell(peer, side, true);
    if (wanted.includes('receipts')) this.#mark(peer);
    this.#publish();
  }

  /** A connection has left, or is gone. */
  leave(peer: SidesPeer): void {
    if (!this.#seats.delete(peer)) return;
    for (const [key, { connection }] of this.#signals)
      if (connection === peer.connection) this.#signals.delete(key);
    this.#publish();
  }

  /** A frame of a connection that has joined. */
  take(peer: SidesPeer, frame: Fields): void {
    const { op, id } = frame;
    const seat = this.#seats.get(peer);
    if (op === 'presence' && seat) {
      if (typeof frame.data === 'object') seat.data = Object(frame.data);
      if (typeof frame.idle === 'boolean') seat.idle = frame.idle;
    } else if (op === 'signal') this.#signal(peer, frame);
    else if (op === 'sync' && SIDES.includes(frame.side as Side)) this.#tell(peer, frame.side as Side, true);
    else if (op === 'read') this.#read(peer, frame);
    if (id !== undefined && op !== 'read') peer.say({ op: 'done', id });
    this.#publish();
  }

  #signal({ user, connection }: SidesPeer, { type, key = '', data = null }: Fields): void {
    const name = [connection, type, key].join(' ');
    if (data === null) this.#signals.delete(name);
    else this.#signals.set(name, { user, connection, type, key, data });
  }

  #read(peer: SidesPeer, { id, delivered, read }: Fields): void {
    const head = this.#log().head;
    const before = this.#marks.get(peer.user) ?? { delivered: 0, read: 0 };
    const raised = (mark: number, to: unknown) => Math.max(mark, Math.min(Number(to ?? 0), head));
    const marks = { read: raised(before.read, read), delivered: raised(before.delivered, delivered) };
    marks.delivered = Math.max(marks.delivered, marks.read);
    this.#marks.set(peer.user, marks);
    if (id !== undefined) this.#mark(peer, id);
    if (marks.read === before.read && marks.delivered === before.delivered) return;
    for (const [each, { told }] of this.#seats)
      if (each.user === peer.user && told.has('receipts')) this.#mark(each);
  }

  /** Says where a user stands (RCPT-4). */
  #mark(peer: SidesPeer, id?: unknown): void {
    const { head, events } = this.#log();
    const { delivered, read } = this.#marks.get(peer.user) ?? { delivered: 0, read: 0 };
    const unread = events.filter(
      ({ seq, type, author, deleted }) =>
        seq > read && type === 'message' && author !== peer.user && !deleted,
    );
    peer.say({
      op: 'marked',
      ...(id !== undefined && { id }),
      room: this.#room,
      delivered,
      read,
      head,
      unread: Math.min(unread.length, MAX_UNREAD),
      more: unread.length > MAX_UNREAD,
      ...(unread[0] && { first_unread: unread[0].seq }),
    });
  }

  #publish(): void {
    for (const [peer, { told }] of this.#seats) for (const side of told.keys()) this.#tell(peer, side, false);
  }

  /** Says what has changed since a connection was last told, or all of it (SIDE-2). */
  #tell(peer: SidesPeer, side: Side, full: boolean): void {
    const told = this.#seats.get(peer)?.told.get(side);
    if (!told) return;
    const values = this.#values(side);
    const json = new Map([...values].map(([key, value]) => [key, JSON.stringify(value)]));
    const set = [...values]
      .filter(([key]) => full || told.values.get(key) !== json.get(key))
      .map(([, value]) => value);
    const gone = [...told.values.keys()].filter(key => !json.has(key));
    if (!full && set.length + gone.length === 0) return;
    const prev = told.version++;
    told.values = json;
    const since = full ? { full } : { prev, gone };
    const users = side === 'presence' && { users: values.size, connections: this.#here().length };
    peer.say({ op: side, room: this.#room, ...since, version: told.version, set, ...users });
  }

  #here(): [SidesPeer, Seat][] {
    return [...this.#seats].filter(([, { present }]) => present);
  }

  #values(side: Side): Map<string, unknown> {
    if (side === 'signals') return this.#signals;
    if (side === 'receipts')
      return new Map([...this.#marks].map(([user, marks]) => [user, { user, ...marks }]));
    const members = new Map<
      string,
      { user: string; idle: boolean; since: string; devices: object[]; data: object }
    >();
    for (const [{ user, connection: id }, { idle, since, data }] of this.#here()) {
      const before = members.get(user);
      members.set(user, {
        user,
        idle: idle && (before?.idle ?? true),
        since: before?.since ?? since,
        devices: [...(before?.devices ?? []), { id, idle }],
        data,
      });
    }
    return members;
  }
}
