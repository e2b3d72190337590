import type { WireEvent } from '../protocol/frames.js';
import { isRoom, unfit } from './grammar.js';
import { Log, sentAs } from './log.js';
import type { TestRefusal } from './refusal.js';

/** What a token grants (AUTH-4): a pattern is a room id, or ends in `*`, which stands for any rest. */
export interface TestGrant {
  /** A pattern of room ids, such as `chat:*`. */
  rooms: string;
  /** What may be done in them. */
  can: readonly ('read' | 'send' | 'admin')[];
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

/** Rooms, tokens and who may do what: the server without its transports. */
export class Hub {
  readonly followers = new Set<Follower>();
  /** What the next sends are refused with. */
  readonly verdicts: TestVerdict[] = [];
  beforeAppend: ((send: TestSend) => TestRefusal | undefined) | undefined;

  readonly #now: () => number;
  readonly #logs = new Map<string, Log>();
  readonly #bans = new Set<string>();
  #epochs = 0;
  #issued = 0;
  /** By user: tokens up to this number are over, and how. */
  readonly #over = new Map<string, { upTo: number; code: 'token_expired' | 'revoked' }>();

  constructor(now: () => number) {
    this.#now = now;
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
    const covers = ({ rooms }: TestGrant) =>
      rooms.endsWith('*') ? room.startsWith(rooms.slice(0, -1)) : rooms === room;
    const rights = grants.filter(covers).flatMap(({ can }) => can);
    if (!rights.includes('read') || this.#bans.has(`${room} ${user}`)) return { code: 'unknown_room' };
    return rights.includes(right) ? undefined : { code: 'forbidden' };
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
  send({ room, author, tag: given, type, data }: TestSend): Outcome {
    const wrong = unfit(given, type, data);
    if (wrong) return { refusal: wrong };
    const tag = given.toLowerCase();
    const known = this.log(room).find(author, tag);
    if (known) {
      if (known.sent !== sentAs(type, data)) return { refusal: { code: 'tag_conflict', field: 'tag' } };
      return { event: known.event, epoch: this.log(room).epoch, duplicate: true };
    }
    const send = { room, author, tag, type, data };
    const refusal = this.beforeAppend?.(send);
    if (refusal) return { refusal };
    const verdict = this.verdicts.shift();
    if (verdict?.stored) this.store(send);
    if (verdict) return { refusal: verdict };
    const event = this.store(send);
    return { event, epoch: this.log(room).epoch, duplicate: false };
  }

  /** Stores an event, and shows it to those who follow the room. */
  store({ room, author, tag, type, data }: TestSend): WireEvent {
    const event = this.log(room).append({ type, author, tag, at: this.at(), data }, sentAs(type, data));
    this.changed(room);
    return event;
  }
}
