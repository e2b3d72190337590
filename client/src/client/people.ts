import type { Readable } from './readable.js';
import type { Message, Register } from './types.js';

/** The presence data of a member where a room names no type of its own. */
export type PresenceData = Register extends { presence: infer T } ? T : Record<string, unknown>;

/** One connection of a member. */
export interface Device {
  /** The connection's id. */
  readonly id: string;
  /** Whether nobody has looked at it for a while. */
  readonly idle: boolean;
}

/** A user who is in the room at the moment, with any number of tabs and devices. */
export interface Member<P = PresenceData> {
  /** The user, as tokens name them. */
  readonly user: string;
  /** What they last gave to `set`. Others' programs wrote it: it may lack fields. */
  readonly data: P;
  /** Whether all of their devices are idle. */
  readonly idle: boolean;
  /** Since when they are here. */
  readonly since: Date;
  /** Their connections. */
  readonly devices: readonly Device[];
}

/** How many are in the room. */
export interface Occupancy {
  /** Users. */
  readonly users: number;
  /** Their connections. */
  readonly connections: number;
  /** Whether the room is too large for a list of members: then there are counts only. */
  readonly counts: boolean;
  /** Whether it may be out of date: there is no connection, or the server has lost sight of other nodes. */
  readonly stale: boolean;
}

/**
 * Who is in the room. It is asked for when somebody first subscribes to one of its Readables or sets something, and from then on the
 * client's user is seen by others too, as long as the room is attached.
 */
export interface Presence<P = PresenceData> {
  /** The client's own user, as others see them; null until known, and after `leave`. */
  readonly self: Readable<Member<P> | null>;
  /** Everybody else. A member is the same object until something about them changes. */
  readonly others: Readable<readonly Member<P>[]>;
  /** How many there are, the client's own user among them. */
  readonly occupancy: Readable<Occupancy>;
  /** Shows these fields to others, beside those given before; sent at most every 100 ms, and again after each reconnect. Undoes `leave`. */
  set(patch: Partial<P>): void;
  /** Sees others without being seen. */
  leave(): void;
}

/** Who is typing. It is asked for when somebody first subscribes to `who` or types. */
export interface Typing {
  /** The users who type, but for the client's own: gone with their message, with a `stop`, and 6 s after the last sign of it. */
  readonly who: Readable<readonly string[]>;
  /** To be called at each key: others are told at most every 2 s. It ends by itself 6 s after the last. */
  keystroke(): void;
  /** Ends it, as sending a message does. */
  stop(): void;
}

/** What somebody broadcast: the latest of its connection, type and key. */
export interface Broadcast {
  /** Who. */
  readonly user: string;
  /** By which of their connections. */
  readonly connection: string;
  /** The type, such as `cursor`. */
  readonly type: string;
  /** Tells several of one type apart. */
  readonly key: string;
  /** What was broadcast; null when it is over: ended by its sender, or its sender has left. */
  readonly data: unknown;
}

/** How a broadcast is made. */
export interface BroadcastOptions {
  /** Tells several of one type apart. Empty unless given. */
  key?: string;
}

/** Up to where a user was given, and has read, the messages of a room. */
export interface Mark {
  /** The user. */
  readonly user: string;
  /** The last seq that reached one of their devices. */
  readonly delivered: number;
  /** The last seq that they have read. */
  readonly read: number;
}

/** How far others are, of those who have a mark at all. */
export interface Reach {
  /** The furthest that any of them is. */
  readonly any: number;
  /** How far all of them are. */
  readonly all: number;
}

/** The marks of others. */
export interface Marks {
  /** Each user's. Empty in large rooms, and where the room tells counts only. */
  readonly users: readonly Mark[];
  /** What was delivered. */
  readonly delivered: Reach;
  /** What was read. */
  readonly read: Reach;
}

/** Who has read what. It is asked for when somebody first subscribes to one of its Readables or marks something. */
export interface Receipts {
  /** The last seq that the client's own user has read, on any device; 0 before it is known. */
  readonly lastRead: Readable<number>;
  /** How many messages of others lie behind that and are not deleted. Exact up to 999; 1000 is more than that. */
  readonly unread: Readable<number>;
  /** The seq of the first of them; null where there is none. */
  readonly firstUnread: Readable<number | null>;
  /** How far others are. */
  readonly marks: Readable<Marks>;
  /**
   * Marks everything up to a seq as read, up to the newest there is unless given. It only ever moves forward; it counts here at once, is sent at
   * most every 500 ms, and kept while there is no connection. What has come is marked as delivered without being asked.
   */
  markRead(upTo?: number): void;
  /** The users who have read a message. Empty where `marks` has no users. */
  readers(seq: number): readonly string[];
  /** How far a message has come with at least one other. */
  reached(seq: number): 'sent' | 'delivered' | 'read';
}

/** One of the rooms of the client's user, as a list of rooms shows it. A new object for each change. */
export interface RoomOverview {
  /** The id. */
  readonly room: string;
  /** The seq of its newest event. */
  readonly head: number;
  /** The user's role in it, where the room has members. */
  readonly role: string | undefined;
  /** The newest message or other event; undefined where there is none. */
  readonly last: Message<unknown> | undefined;
  /** The last seq that the user has read. */
  readonly read: number;
  /** The last seq that reached one of their devices. */
  readonly delivered: number;
  /** How many messages of others are unread. Exact up to 999; 1000 is more than that. */
  readonly unread: number;
  /** The seq of the first of them; null where there is none. */
  readonly firstUnread: number | null;
  /** How many of the unread messages mention the user. */
  readonly mentions: number;
}
