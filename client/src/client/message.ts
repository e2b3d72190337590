import type { RoomlogError } from './error.js';
import type { Readable } from './readable.js';
import type { MessageBody } from './types.js';

/** `queued` waits for a connection, `sending` for its answer; `sent` is on durable storage. */
export type Delivery = 'queued' | 'sending' | 'sent' | 'failed';

/** One message of a room, stored or on its way. A new object for each change. */
export interface Message<M = MessageBody> {
  /** Made once per send: the same before and after the ack, so it serves as a key. Another author may use it too (TAG-5). */
  readonly tag: string;
  /** Its place in the room; null until it is acked. */
  readonly seq: number | null;
  /** The type of its event: `message`. */
  readonly type: string;
  /** The user who wrote it; empty while it is not known who the client's user is. */
  readonly author: string;
  /** Whether the client's own user wrote it. */
  readonly own: boolean;
  /** What was sent. */
  readonly data: M;
  /** When it was stored; until then, when it was sent, by the device's clock. */
  readonly at: Date;
  /** How far it has come. */
  readonly delivery: Delivery;
  /** Why it failed. */
  readonly error: RoomlogError | undefined;
  /** The last edit, whose data it has. */
  readonly edited: Edited | undefined;
  /** Who deleted it: its data is null then. Only where `tombstones` are asked for is such a message in a list. */
  readonly deleted: Deleted | undefined;
  /** Who reacted how, the earliest emoji first. */
  readonly reactions: readonly Reaction[];
  /** The seq of the message that it answers: `reply_to` of its data. */
  readonly replyTo: number | undefined;
  /** The users that it names: `mentions` of its data. */
  readonly mentions: readonly string[];
  /** The last change by the client's own user that is not stored: it shows already, or has `failed` and shows no more. */
  readonly change: OwnChange | undefined;
}

/** The last edit of a message. */
export interface Edited {
  /** The edit's own place in the room; null until it is stored. */
  readonly seq: number | null;
  /** When it was stored. */
  readonly at: Date;
}

/** How a message was deleted. */
export interface Deleted {
  /** The place of the deletion in the room; null until it is stored, 0 of an erasure that was under way when this was read. */
  readonly seq: number | null;
  /** Who deleted it. */
  readonly by: string;
  /** When. */
  readonly at: Date;
}

/** One emoji on a message. */
export interface Reaction {
  /** The emoji. */
  readonly emoji: string;
  /** How many users have it. */
  readonly count: number;
  /**
   * Who has it, the earliest first. Of a message read from history no more than ten that had it by then are named, and the client's own user,
   * where they had it.
   */
  readonly users: readonly string[];
  /** Whether the client's own user is among them. */
  readonly mine: boolean;
}

/** A change of a message that is on its way, or was refused: `retry(tag)` and `discard(tag)` of `messages` take its tag. */
export type OwnChange = Pick<Message<unknown>, 'tag' | 'type' | 'data' | 'delivery' | 'error'>;

/**
 * A send, and the promise of its outcome: the message once it is acked, or the RoomlogError of its refusal.
 * A rejection that nobody awaits is not reported as unhandled: `messages.list` shows it.
 */
export interface SendHandle<M = MessageBody> extends Promise<Message<M>> {
  /** The message's tag, known before any answer. */
  readonly tag: string;
  /** Takes the send back. False if it is stored, or may be. */
  cancel(): boolean;
  /** Sends a failed one again, with the same tag and behind what is queued; else it changes nothing. */
  retry(): SendHandle<M>;
}

/** How a send is made. */
export interface SendOptions {
  /** The event's type: `message` unless given. Others are sent alike, but `messages.list` shows messages only. */
  type?: string;
  /** A UUID, where the application keeps its own; made here unless given. */
  tag?: string;
  /** Of the type `state`: refused as `conflict` where a key that it names was set behind this seq; 0: where it has a value. */
  ifSeq?: number | undefined;
}

/** Which part of a room's history: one of the three, or none for the newest. */
export interface HistoryOptions {
  /** The newest events before this seq. */
  before?: number;
  /** The oldest events behind this seq or position. */
  after?: number | string;
  /** The events on both sides of this seq. */
  around?: number;
  /** 100 unless given; above 500 it means 500. */
  limit?: number;
}

/** A stretch of history in the order of seq. `next` goes on in the same direction. */
export interface HistoryPage<M = MessageBody> {
  /** Its messages. */
  readonly items: readonly Message<M>[];
  /** Whether there is more in this direction. */
  readonly hasMore: boolean;
  /** Reads the next page in this direction. Rejects with a RoomlogError. */
  next(): Promise<HistoryPage<M>>;
}

/** How a view is made. */
export interface HistoryViewOptions extends HistoryOptions {
  /** How many messages it holds: what is beyond goes at the end away from the load. 500. */
  max?: number;
}

/** How a view is. A new object for each change. */
export interface HistoryViewState {
  /** Whether there is something before it. */
  readonly hasOlder: boolean;
  /** Whether more was known to follow when the view last read: new events do not come into it by themselves. */
  readonly hasNewer: boolean;
  /** Whether it reaches `messages.list`, which can be shown from here on without a gap. */
  readonly meetsLive: boolean;
  /** Whether a load is under way. */
  readonly loading: boolean;
  /** Why the last load failed: `reset` if the view belongs to a numbering that is no more. */
  readonly error: RoomlogError | undefined;
}

/** A stretch of history beside the live window, such as that around a linked message, that can be walked both ways. */
export interface HistoryView<M = MessageBody> {
  /** Its messages in the order of seq. */
  readonly list: Readable<readonly Message<M>[]>;
  /** What can be loaded, and what is being loaded. */
  readonly state: Readable<HistoryViewState>;
  /** Loads up to `limit` (50) events before it. Rejects with a RoomlogError; loads come one after the other. */
  loadOlder(limit?: number): Promise<void>;
  /** Loads up to `limit` (50) events behind it. Rejects with a RoomlogError. */
  loadNewer(limit?: number): Promise<void>;
}

/** What lies before the loaded window. */
export interface Older {
  /** Whether there is something before the window. */
  readonly hasMore: boolean;
  /** Whether it is being loaded. */
  readonly loading: boolean;
  /** Why the last load failed. */
  readonly error: RoomlogError | undefined;
}

/** The messages of a room. */
export interface Messages<M = MessageBody> {
  /** The loaded window in the order of seq, then what is not stored yet in the order of sending. */
  readonly list: Readable<readonly Message<M>[]>;
  /** What `loadOlder` would do. */
  readonly older: Readable<Older>;
  /**
   * Sends. The message is in `list` at once. Sends of one room arrive in order, each once, through drops.
   * Throws a TypeError for data that JSON cannot carry.
   */
  send(data: M, options?: SendOptions): SendHandle<M>;
  /** Sends a failed message again. Does nothing for any other. */
  retry(tag: string): void;
  /** Takes back what is not stored: true if it is gone from the list. */
  discard(tag: string): boolean;
  /**
   * Puts other data in the place of a message's. `target` is its seq, or the tag of one of one's own, which may be on its way. It
   * shows at once, and no more where it is refused, as in `message.change`; it is sent as messages are, and the handle settles with the
   * event of the change itself.
   */
  edit(target: number | string, data: M): SendHandle<unknown>;
  /** Deletes a message, for everybody and for good. As `edit`. */
  remove(target: number | string, reason?: string): SendHandle<unknown>;
  /** Adds one's own reaction to a message: an emoji, up to 64 bytes. As `edit`. */
  react(target: number | string, emoji: string): SendHandle<unknown>;
  /** Takes that reaction back. As `edit`. */
  unreact(target: number | string, emoji: string): SendHandle<unknown>;
  /** Loads up to `limit` (50) events before the window. Rejects with a RoomlogError. */
  loadOlder(limit?: number): Promise<{ done: boolean }>;
  /** Reads history beside the window. Rejects with a RoomlogError. */
  history(options?: HistoryOptions): Promise<HistoryPage<M>>;
  /** Opens a view of history that can be walked both ways. Rejects with a RoomlogError. */
  view(options?: HistoryViewOptions): Promise<HistoryView<M>>;
}
