import type { ResetReason } from '../protocol/codes.js';
import { EVENT_BYTES, parsePosition } from './grammar.js';
import type { Follower, Hub, Identity } from './hub.js';
import { pageSize } from './log.js';
import { closeOf, isForNow, type TestRefusal, wireFields } from './refusal.js';
import type { SidesPeer } from './sides.js';

type Fields = Record<string, unknown>;

/** A frame of the server. */
export type Frame = Fields & { op: string };

/** What a peer asks of what carries it. */
export interface PeerHost {
  /** Says a frame to the client. */
  say(frame: Frame): void;
  /** Ends the connection after what was said. */
  close(code: number, reason: string): void;
  /** A send has come, and is about to be taken: where its answer is to get lost, this cuts the connection. */
  taking(): void;
}

/** Where one room's cursor stands. */
interface Cursor {
  epoch: string;
  seq: number;
}

const ROOMS = 200;
const FRAME_BYTES = 1 << 20;
/** How long a client may give no sign of life after a ping (BEAT-3). */
const SILENCE_MS = 10_000;
/** What concerns a room beside its log (SIDE-7). */
const SIDE_OPS = ['presence', 'signal', 'read', 'sync'];
/** The most events of a page behind the first one. */
const PAGE = 100;

const isText = (v: unknown) => typeof v === 'string';
const isInteger = (v: unknown) => Number.isSafeInteger(v) && (v as number) >= 0;
/** The fields of a client's frames that have to be of a type, whatever the op (ERR-7). */
const SHAPES: Readonly<Record<string, (v: unknown) => boolean>> = {
  op: isText,
  id: isInteger,
  room: isText,
  n: isInteger,
  tag: isText,
  type: isText,
  position: isText,
  limit: isInteger,
  replay: isInteger,
  token: isText,
};
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  join: ['room'],
  leave: ['room'],
  send: ['room', 'n'],
  refresh: ['token'],
  presence: ['room'],
  signal: ['room', 'type'],
  read: ['room'],
  sync: ['room'],
};

/**
 * The server's end of one connection: cursors over rooms, and the numbers of sends. It is told that a room may have
 * changed, and gives each cursor what it lacks. A stream has one too, opened by its request instead of a hello.
 */
export class Peer implements Follower, SidesPeer {
  who: Identity | undefined;
  /** What a stream is called; a socket has the name of its welcome. */
  name: string | undefined;

  readonly #hub: Hub;
  readonly #host: PeerHost;
  readonly #cursors = new Map<string, Cursor>();
  /** By room: the `n` that is taken next. */
  readonly #next = new Map<string, number>();
  #over = false;
  #beat: ReturnType<typeof setInterval> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(hub: Hub, host: PeerHost) {
    this.#hub = hub;
    this.#host = host;
    hub.followers.add(this);
  }

  get user(): string {
    return this.who?.user ?? '';
  }

  get connection(): string {
    return this.name ?? `c${this.who?.issued}`;
  }

  say(frame: Frame): void {
    if (!this.#over) this.#host.say(frame);
  }

  /** Follows a room no more. */
  #drop(room: string): void {
    this.#cursors.delete(room);
    this.#hub.sides(room).leave(this);
  }

  get rooms(): string[] {
    return [...this.#cursors.keys()];
  }

  /** The connection is over. */
  gone(): void {
    this.#over = true;
    clearInterval(this.#beat);
    clearTimeout(this.#silence);
    this.#hub.followers.delete(this);
    for (const room of this.rooms) this.#hub.sides(room).leave(this);
  }

  /** `frame` is the one that this answers, if it answers one. */
  end(refusal: TestRefusal, frame: Fields = {}): void {
    if (this.#over) return;
    this.gone();
    this.#refuse(frame, refusal);
    const wait = refusal.retryAfterMs === undefined ? '' : ` ${refusal.retryAfterMs}`;
    this.#host.close(closeOf(refusal.code), `${refusal.code}${wait}`);
  }

  /** One message of the client. What was on its way when the connection ended is taken too. */
  take(text: string): void {
    clearTimeout(this.#silence);
    this.#silence = undefined;
    const frame = parse(text);
    const field = frame && wrongField(frame);
    if (!frame || field) this.#refuse(frame ?? {}, { code: 'bad_request', ...(field && { field }) });
    else if (frame.op === 'ping') this.#host.say({ op: 'pong' });
    else if (frame.op === 'pong') return;
    else if (frame.op === 'hello') this.#hello(frame);
    else if (!this.who) this.end({ code: 'unauthenticated' }, frame);
    else if (frame.op === 'join') this.#join(frame, this.who);
    else if (frame.op === 'leave') this.#drop(frame.room as string);
    else if (frame.op === 'send') this.#send(frame, this.who);
    else if (frame.op === 'refresh') this.#refresh(frame, this.who);
    else if (SIDE_OPS.includes(frame.op as string)) this.#side(frame, this.who);
    else this.#refuse(frame, { code: 'unknown_op', field: 'op' });
  }

  #refuse({ id, room, tag }: Fields, refusal: TestRefusal): void {
    this.#host.say({
      op: 'error',
      ...(isInteger(id) && { id }),
      ...(isText(room) && { room }),
      ...(isText(tag) && { tag }),
      ...wireFields(refusal),
    });
  }

  #side(frame: Fields, who: Identity): void {
    const room = frame.room as string;
    const refusal = this.#hub.forbids(who, room, 'read');
    if (refusal) this.#refuse(frame, refusal);
    else this.#hub.sides(room).take(this, frame);
  }

  // ---- who ----

  #hello(frame: Fields): void {
    const { token, version = 1 } = frame;
    if (this.who) this.#refuse(frame, { code: 'bad_request', field: 'op' });
    else if (version !== 1) this.end({ code: 'unsupported_version' });
    else {
      const who = this.#hub.identify(String(token));
      if ('code' in who) this.end(who);
      else this.#welcome(who);
    }
  }

  #welcome(who: Identity): void {
    if (this.#over) return;
    const pingMs = 10_000;
    this.who = who;
    this.#host.say({
      op: 'welcome',
      connection: this.connection,
      user: who.user,
      ping_ms: pingMs,
      version: 1,
      limits: { frame_bytes: FRAME_BYTES, event_bytes: EVENT_BYTES, rooms: ROOMS },
      ...(this.#hub.node && { node: this.#hub.node }),
    });
    if (this.#hub.degraded.length > 0) this.inform();
    this.#beat = setInterval(() => {
      this.#host.say({ op: 'ping' });
      this.#silence ??= setTimeout(() => this.end({ code: 'ping_timeout' }), SILENCE_MS);
    }, pingMs);
  }

  inform(): void {
    const parts = this.#hub.degraded;
    if (this.who) this.#host.say({ op: 'degraded', parts, ...(parts.length > 0 && { within_ms: 1_000 }) });
  }

  #refresh(frame: Fields, { user }: Identity): void {
    const who = this.#hub.identify(String(frame.token));
    if ('code' in who) this.#refuse(frame, who);
    else if (who.user !== user) this.end({ code: 'unauthenticated' });
    else {
      this.who = who;
      for (const room of this.rooms) this.look(room);
    }
  }

  // ---- cursors ----

  #join(frame: Fields, who: Identity): void {
    const { id, room, position, limit, replay } = frame as {
      id?: number;
      room: string;
      position?: string;
      limit?: number;
      replay?: number;
    };
    const place = position === undefined ? undefined : parsePosition(position);
    const refusal =
      this.#hub.forbids(who, room, 'read') ??
      (position !== undefined && !place ? { code: 'bad_position' as const, field: 'position' } : undefined) ??
      (this.#cursors.size >= ROOMS && !this.#cursors.has(room)
        ? { code: 'limit_exceeded' as const, field: 'room', limit: ROOMS }
        : undefined);
    if (refusal) {
      this.#refuse(frame, refusal);
      return;
    }
    const log = this.#hub.log(room);
    const reason = place && log.refuses(place, replay);
    const page =
      place && !reason ? log.conflated(place.seq, place.seq + pageSize()) : log.latest(pageSize(limit));
    this.#cursors.set(room, { epoch: log.epoch, seq: page.seq });
    this.#host.say({
      op: 'joined',
      ...(id !== undefined && { id }),
      room,
      ...log.bounds,
      page,
      ...(reason && { reset: { reason } }),
    });
    this.#hub.sides(room).join(this, frame, this.#hub.at());
    this.look(room);
  }

  /** Follows a room from a seq of its present numbering on. */
  follow(room: string, seq: number): void {
    this.#cursors.set(room, { epoch: this.#hub.log(room).epoch, seq });
    this.look(room);
  }

  look(room: string): void {
    const cursor = this.#cursors.get(room);
    if (!cursor || !this.who) return;
    const denied = this.#hub.forbids(this.who, room, 'read');
    if (denied) {
      this.#drop(room);
      this.#refuse({ room }, denied); // ACC-4
      return;
    }
    const log = this.#hub.log(room);
    if (cursor.epoch !== log.epoch) this.reset(room, 'epoch');
    else this.#feed(room, cursor);
  }

  #feed(room: string, cursor: Cursor): void {
    const log = this.#hub.log(room);
    while (cursor.seq < log.head) {
      const page = log.span(cursor.seq, cursor.seq + PAGE);
      cursor.seq = page.seq;
      this.#host.say({ op: 'page', room, epoch: log.epoch, ...page });
    }
  }

  /** Ends a cursor (RESET-2). */
  reset(room: string, reason: ResetReason): void {
    this.#drop(room);
    this.#host.say({ op: 'reset', room, reason, ...this.#hub.log(room).bounds });
  }

  // ---- sends ----

  #send(frame: Fields, who: Identity): void {
    const {
      id,
      n,
      room,
      tag,
      type,
      data,
      if_seq: ifSeq,
    } = frame as {
      id?: number;
      n: number;
      room: string;
      tag: string;
      type: string;
      data: unknown;
      if_seq?: number;
    };
    const next = this.#next.get(room) ?? 1;
    if (n > next) {
      this.#refuse(frame, { code: 'out_of_order' });
      return;
    }
    const ack = ({ seq, at, tag }: { seq: number; at: string; tag: string }, duplicate: boolean) =>
      this.#host.say({
        op: 'ack',
        ...(id !== undefined && { id }),
        room,
        seq,
        epoch: this.#hub.log(room).epoch,
        at,
        tag,
        duplicate,
      });
    if (n < next) {
      const known = this.#hub.log(room).find(who.user, String(tag).toLowerCase()); // SEND-6
      if (known) ack(known.event, true);
      else this.#refuse(frame, { code: 'bad_request', field: 'n' });
      return;
    }
    this.#host.taking();
    const forbidden = this.#hub.forbids(who, room, 'send');
    const outcome = forbidden
      ? { refusal: forbidden }
      : this.#hub.send({ room, author: who.user, tag, type, data, ifSeq }, who);
    if ('refusal' in outcome) {
      if (!isForNow(outcome.refusal)) this.#next.set(room, n + 1); // SEND-5
      this.#refuse(frame, outcome.refusal);
    } else {
      this.#next.set(room, n + 1);
      ack(outcome.event, outcome.duplicate);
    }
  }
}

function parse(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Fields)
      : undefined;
  } catch {
    return undefined;
  }
}

/** The first field that has a wrong type or is missing. */
function wrongField(frame: Fields): string | undefined {
  const needs = ['op', ...((isText(frame.op) && NEEDS[frame.op as string]) || [])];
  const missing = needs.find(field => frame[field] === undefined);
  const odd = Object.keys(frame).find(field => SHAPES[field]?.(frame[field]) === false);
  return odd ?? missing ?? (frame.op === 'send' && frame.n === 0 ? 'n' : undefined);
}
