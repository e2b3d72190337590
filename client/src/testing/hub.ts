import type { WireEvent } from '../protocol/frames.js';
import { targetOf } from './change.js';
import { isRoom, unfit } from './grammar.js';
import { Log, sentAs } from './log.js';
import type { TestRefusal } from './refusal.js';
import { RoomSides } from './sides.js';
import { TestState } from './state.js';

/** What a token grants (AUTH-4): a pattern is a room id, or ends in `*`, which stands for any rest. */
export interface TestGrant {
  /** A pattern of room ids, such as `chat:*`. */
  rooms: string;
  /** What may be done in them. */
  can: readonly ('read' | 'send' | 'moderate' | 'admin')[];
}

/** A send before it is stored. */
export interface TestSend {
  /** The id of the room. */
  readonly room: string;
  /** The user of the token. */
  readonly author: string;
  /** The UUID of the send: the same when it is tried again. */
  readonly tag: string;
  /** `message` or another. */
  readonly type: string;
  /** The JSON value. */
  readonly data: unknown;
  /** Of the type `state`: what it is compared with (STATE-3). */
  readonly ifSeq?: number | undefined;
}

/** Who a token speaks for. */
export interface Identity {
  readonly user: string;
  readonly grants: readonly TestGrant[];
  /** The number of the token: those up to a number can be ended together. */
  readonly issued: number;
}

/** What follows rooms: it is told that something about one may have changed, and looks for itself. */
export interface Follower {
  readonly who: Identity | undefined;
  look(room: string): void;
  /** What the server does without is another thing than before. */
  inform?(): void;
  /** Ends it for good or for now. */
  end(refusal: TestRefusal): void;
}

/** What became of a send. */
export type Outcome = { event: WireEvent; epoch: string; duplicate: boolean } | { refusal: TestRefusal };

/** A refusal that was ordered for a send to come. */
export interface TestVerdict extends TestRefusal {
  /** For `outcome_unknown`: whether it was stored all the same. */
  stored?: boolean;
}

const EVERYTHING: readonly TestGrant[] = [{ rooms: '*', can: ['read', 'send', 'admin'] }];

/** What the grants that cover a room allow in it. */
function rightsIn(grants: readonly TestGrant[], room: string) {
  const covers = ({ rooms }: TestGrant) =>
    rooms.endsWith('*') ? room.startsWith(rooms.slice(0, -1)) : rooms === room;
  return grants.filter(covers).flatMap(({ can }) => can);
}

/** Rooms, tokens and who may do what: the server without its transports. */
export class Hub {
  readonly followers = new Set<Follower>();
  /** What the next sends are refused with. */
  readonly verdicts: TestVerdict[] = [];
  /** The name of the node, and what it does without (NODE-1, NODE-2). */
  readonly node: string | undefined;
  degraded: readonly string[] = [];
  beforeAppend: ((send: TestSend) => TestRefusal | undefined) | undefined;

  readonly #now: () => number;
  readonly #logs = new Map<string, Log>();
  readonly #sides = new Map<string, RoomSides>();
  readonly #bans = new Set<string>();
  #epochs = 0;
  #issued = 0;
  /** By user: tokens up to this number are over, and how. */
  readonly #over = new Map<string, { upTo: number; code: 'token_expired' | 'revoked' }>();

  constructor(now: () => number, node: string | undefined) {
    this.#now = now;
    this.node = node;
  }

  /** What it does without from now on. */
  degrade(parts: readonly string[]): void {
    this.degraded = parts;
    for (const follower of this.followers) follower.inform?.();
  }

  /** The present time as the server writes it (ROOM-6). */
  at(): string {
    return new Date(this.#now()).toISOString().replace('Z', '000Z');
  }

  // ---- tokens ----

  /** A token of the shape of a JWT, with no signature. */
  token(user: string, grants: readonly TestGrant[] = EVERYTHING): string {
    const claims = JSON.stringify({ sub: user, grants, iat: ++this.#issued });
    const text = String.fromCharCode(...new TextEncoder().encode(claims));
    return `test.${btoa(text).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')}.test`;
  }

  /** Who a token speaks for, or why it is refused. */
  identify(token: string): Identity | TestRefusal {
    let claims: { sub: string; grants: readonly TestGrant[]; iat: number };
    try {
      const text = atob((token.split('.')[1] as string).replace(/-/g, '+').replace(/_/g, '/'));
      claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, c => c.charCodeAt(0))));
    } catch {
      return { code: 'unauthenticated' };
    }
    const { sub: user, grants, iat: issued } = claims;
    const over = this.#over.get(user);
    return over && issued <= over.upTo ? { code: over.code } : { user, grants, issued };
  }

  /** Ends the tokens of a user that were issued until now, and the connections they opened (AUTH-9, ACC-2). */
  endTokens(user: string, code: 'token_expired' | 'revoked'): void {
    this.#over.set(user, { upTo: this.#issued, code });
    for (const follower of [...this.followers]) if (follower.who?.user === user) follower.end({ code });
  }

  // ---- access ----

  /** Why a user may not do this in a room (AUTH-5, ACC-3); undefined if they may. */
  forbids({ user, grants }: Identity, room: string, right: 'read' | 'send'): TestRefusal | undefined {
    if (!isRoom(room)) return { code: 'bad_room', field: 'room' };
    const rights = rightsIn(grants, room);
    if (!rights.includes('read') || this.#bans.has(`${room} ${user}`)) return { code: 'unknown_room' };
    return rights.includes(right) ? undefined : { code: 'forbidden' };
  }

  /** Whether a user may change what others wrote (CHG-4). */
  #moderates({ grants }: Identity, room: string): boolean {
    return rightsIn(grants, room).some(right => right === 'moderate' || right === 'admin');
  }

  /** Bans a user from a room, or lifts the ban. */
  ban(room: string, user: string, banned: boolean): void {
    if (banned) this.#bans.add(`${room} ${user}`);
    else this.#bans.delete(`${room} ${user}`);
    this.changed(room);
  }

  // ---- rooms ----

  /** The present numbering of a room. Reading makes nothing (ROOM-4). */
  log(room: string): Log {
    let log = this.#logs.get(room);
    if (!log) {
      log = new Log(room, this.#newEpoch());
      this.#logs.set(room, log);
    }
    return log;
  }

  /** What a room shows beside its log. */
  sides(room: string): RoomSides {
    const sides = this.#sides.get(room) ?? new RoomSides(room, () => this.log(room));
    this.#sides.set(room, sides);
    return sides;
  }

  /** The rooms that exist, in the order of their ids (ROOM-11). */
  rooms(): Log[] {
    const byId = (a: Log, b: Log) => (a.room < b.room ? -1 : 1);
    return [...this.#logs.values()].filter(log => log.createdAt !== undefined).sort(byId);
  }

  /** Puts another numbering in the place of the present one, with its oldest events up to `head`. */
  renumber(room: string, head: number): void {
    this.#logs.set(room, this.log(room).renumbered(this.#newEpoch(), head));
    this.changed(room);
  }

  /** Deletes a room (ROOM-10). False where it did not exist. */
  remove(room: string): boolean {
    if (this.log(room).createdAt === undefined) return false;
    this.#logs.set(room, new Log(room, this.#newEpoch()));
    this.changed(room);
    return true;
  }

  prune(room: string, floor: number): void {
    this.log(room).prune(floor);
    this.changed(room);
  }

  /** Everyone who follows the room is to look. */
  changed(room: string): void {
    for (const follower of [...this.followers]) follower.look(room);
  }

  #newEpoch(): string {
    return `e${++this.#epochs}`;
  }

  // ---- sends ----

  /** Takes a send of one who may send: repeats first, then what the test has ordered (TAG-3, HOOK-3). */
  send({ room, author, tag: given, type, data, ifSeq }: TestSend, who?: Identity): Outcome {
    const wrong = unfit(given, type, data) ?? TestState.unfit(type, data, ifSeq);
    if (wrong) return { refusal: wrong };
    const tag = given.toLowerCase();
    const known = this.log(room).find(author, tag);
    if (known) {
      if (known.sent !== sentAs(type, data)) return { refusal: { code: 'tag_conflict', field: 'tag' } };
      return { event: known.event, epoch: this.log(room).epoch, duplicate: true };
    }
    const send = { room, author, tag, type, data };
    const target = targetOf(this.log(room), send, !who || this.#moderates(who, room));
    if (target && 'code' in target) return { refusal: target };
    const refusal = this.beforeAppend?.(send);
    if (refusal) return { refusal };
    const taken = type === 'state' ? this.log(room).state.refuses(data as object, ifSeq) : undefined;
    if (taken) return { refusal: taken };
    const verdict = this.verdicts.shift();
    if (verdict?.stored) this.store(send);
    if (verdict) return { refusal: verdict };
    const event = this.store(send);
    return { event, epoch: this.log(room).epoch, duplicate: false };
  }

  /** Stores an event, and shows it to those who follow the room. */
  store({ room, author, tag, type, data }: TestSend): WireEvent {
    const log = this.log(room);
    const of = targetOf(log, { type, author, data }, true);
    const target = of && 'seq' in of && { target: of.seq };
    const event = log.append({ type, author, tag, at: this.at(), data, ...target }, sentAs(type, data));
    this.changed(room);
    return event;
  }
}
