import type { ResetReason } from '../protocol/codes.js';
import type { BackoffOptions } from '../transport/backoff.js';
import type { TransportName } from '../transport/ladder.js';
import type { WebSocketConstructor } from '../transport/socket.js';
import type { RoomlogError } from './error.js';
import type { Readable, Unsubscribe } from './readable.js';
import type { ClientStorage } from './storage.js';

/**
 * The application's own types, by augmentation:
 *
 * ```ts
 * declare module 'roomlog' { interface Register { message: { text: string; replyTo?: number } } }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications fill it
export interface Register {}

type Registered<K extends string, Default> = Register extends { [key in K]: infer T } ? T : Default;

/** The data of a message where a room names no type of its own. */
export type MessageBody = Registered<'message', { text: string }>;

/**
 * `idle` before the first connect; `connecting` until the first connection or failed attempt; `connected`;
 * `reconnecting` between attempts and during them; `offline` the same while the device says it has no network;
 * `closed` by `close()`; `failed` for what no retry can cure.
 */
export type ConnectionState =
  | 'idle'
  | 'connecting'
  | 'connected'
  | 'reconnecting'
  | 'offline'
  | 'closed'
  | 'failed';

/** How the connection is. A new object for each change. */
export interface ConnectionStatus {
  /** What the connection is doing. */
  readonly state: ConnectionState;
  /** Why it is not connected, where that is known. */
  readonly reason: RoomlogError | undefined;
  /** When the next attempt is made, in epoch milliseconds; undefined while one is under way. */
  readonly retryAt: number | undefined;
  /** Attempts since the last connection that held 10 s. */
  readonly attempt: number;
  /** The last round trip measured, in milliseconds. */
  readonly rttMs: number | undefined;
  /** Sends that are queued or under way, of all rooms. */
  readonly pendingSends: number;
  /** What carries the connection; undefined while there is none. */
  readonly transport?: TransportName | undefined;
  /** When the lost connection was last heard from, in epoch milliseconds; undefined while connected. */
  readonly lastSyncedAt: number | undefined;
}

/** Why a token is asked for: for a connection, or since the last one expires or was refused. */
export interface TokenContext {
  /** `connect` for a connection, `expired` or `rejected` since that happened to the last token. */
  reason: 'connect' | 'expired' | 'rejected';
  /** Aborted when the token is no longer needed. */
  signal: AbortSignal;
}

/** One line of the client's log. `event` is stable, for filters; `data` never holds a token or an event's data. */
export interface LogEntry {
  /** How much it matters. */
  level: 'debug' | 'info' | 'warn' | 'error';
  /** What happened, e.g. `room.gap`. */
  event: string;
  /** What belongs to it. */
  data?: Record<string, unknown>;
}

/** How a client is made. */
export interface ClientOptions {
  /** The server, e.g. `https://example.org`; relative to the page in a browser. */
  url: string | URL;
  /**
   * A token, or what fetches one: called before every connection, a minute before a token expires (the connection goes
   * on with the new one), and again when one was refused. To stop for good, throw an error with `retryable: false`; anything else is tried again.
   */
  token: string | ((context: TokenContext) => Promise<string>);
  /** Where the runtime has no WebSocket of its own (Node 20): the class of npm `ws`. */
  WebSocket?: WebSocketConstructor;
  /** What makes requests, in place of the global `fetch`. */
  fetch?: typeof fetch;
  /**
   * The ways to reach the server, the best first; the next is taken where something in between (a proxy that blocks
   * upgrades, holds streams back or cuts them) is in the way of one, and the first is tried again later. Those behind
   * the first are loaded when they are needed. All three: `websocket`, `sse`, `poll`.
   */
  transports?: readonly TransportName[];
  /** Waits between attempts: full jitter, 250 ms doubling up to 20 s. */
  backoff?: BackoffOptions;
  /** How long a drop lasts before `lost-connection` says so, in milliseconds. 5,000. */
  lostAfterMs?: number;
  /** How long a hidden tab with nothing to send keeps its connection, in milliseconds; false: for ever. 300,000. */
  pauseWhenHiddenMs?: number | false;
  /** How many events a room shows when it is first joined. 100; above 500 it means 500. */
  limit?: number;
  /** The most events to catch up on; a larger gap is a reset, reason `too_far`. Absent: all. */
  replay?: number;
  /**
   * How many messages `messages.list` holds before the oldest are dropped, to be loaded again by `loadOlder`; what that
   * has loaded stays. 5,000.
   */
  window?: number;
  /**
   * Keeps what is unsent, and the newest events of each room, through reloads and crashes: `indexedDBStorage()` of
   * `roomlog/indexeddb`. Absent: in memory only. It belongs to the server and the user, and is never sent as somebody else's.
   */
  storage?: ClientStorage;
  /**
   * The user whose kept sends and rooms are shown before the first connection says who it is, e.g. after a reload while offline.
   * If the server says another, nothing of this one is sent.
   */
  user?: string;
  /** Whether the browser asks before a page is left in which something is unsent. True. */
  warnBeforeUnload?: boolean;
  /** Hears what the client does. */
  onLog?: (entry: LogEntry) => void;
}

/** `lost` after `lostAfterMs` without a connection, `restored` when it is back, `failed` when it will not be. */
export type LostConnection = 'lost' | 'restored' | 'failed';

/** The events of a client. */
export interface ClientEvents {
  /** A drop has lasted for `lostAfterMs`, is over, or will not end. */
  'lost-connection': LostConnection;
  /** A connection or a room failed in a way that no retry cures. */
  error: RoomlogError;
}

/** How one room is made. */
export interface RoomOptions {
  /** Where to begin: a position kept from `room.position`, or `0` for the first event. Absent: the latest page. */
  position?: string;
  /** As in ClientOptions, for this room. */
  limit?: number;
  /** As in ClientOptions, for this room. */
  replay?: number;
  /** As in ClientOptions, for this room. */
  window?: number;
}

/** One connection to one server, and the rooms over it. */
export interface Client {
  /** How the connection is. */
  readonly status: Readable<ConnectionStatus>;
  /** The user of the token, once a connection has been made; until then the option `user`. */
  readonly user: string | undefined;
  /** Connects. Resolves when connected; rejects when that fails for good or the client is closed. */
  connect(): Promise<void>;
  /**
   * Ends the connection and fails what is still unsent; where there is a `storage`, it stays kept there. Resolves when
   * that is written. Calling it again does nothing. `connect()` begins anew.
   */
  close(): Promise<void>;
  /** Does not wait for the next attempt; when connected, checks that the other side is there. */
  retryNow(): void;
  /** The room with this id: the same object each time, so that `options` count only the first time. */
  room<M = MessageBody>(id: string, options?: RoomOptions): Room<M>;
  /** Calls `fn` at each such event, until the Unsubscribe is called. */
  on<K extends keyof ClientEvents>(event: K, fn: (event: ClientEvents[K]) => void): Unsubscribe;
}

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
}

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
  /** Loads up to `limit` (50) events before the window. Rejects with a RoomlogError. */
  loadOlder(limit?: number): Promise<{ done: boolean }>;
  /** Reads history beside the window. Rejects with a RoomlogError. */
  history(options?: HistoryOptions): Promise<HistoryPage<M>>;
  /** Opens a view of history that can be walked both ways. Rejects with a RoomlogError. */
  view(options?: HistoryViewOptions): Promise<HistoryView<M>>;
}

/**
 * `detached`; `attaching` until the room is joined on this connection; `catching-up` on what was there before;
 * `live`; `denied` if the server refuses the room or takes it away (tried again on the next connection).
 */
export type RoomState = 'detached' | 'attaching' | 'catching-up' | 'live' | 'denied';

/** How a room is. A new object for each change. */
export interface RoomStatus {
  /** What the room is doing. */
  readonly state: RoomState;
  /** The last seq taken; 0 before the first page. */
  readonly seq: number;
  /** How many events are known to exist beyond `seq`. */
  readonly behind: number;
  /** How many times a page did not adjoin and the room was joined again. */
  readonly gaps: number;
  /** Whether a page has come yet. */
  readonly loaded: boolean;
  /** Why it is denied. */
  readonly error: RoomlogError | undefined;
}

/** An event of a room as it was taken, of any type, in the order of seq. */
export interface RoomEvent {
  /** Its place in the room. */
  readonly seq: number;
  /** Its type: `message`, or one of the application's. */
  readonly type: string;
  /** The sender's tag: unique among the events of its author. */
  readonly tag: string;
  /** The user who sent it. */
  readonly author: string;
  /** Whether that is the client's own user. */
  readonly own: boolean;
  /** When it was stored. */
  readonly at: Date;
  /** What was sent. */
  readonly data: unknown;
  /** `replay` if it was in the room already when the room was joined on this connection, else `live`. */
  readonly via: 'live' | 'replay';
}

/** The log could not be continued: the window was dropped, and the latest page took its place. */
export interface RoomReset {
  /** Why the log could not be continued. */
  readonly reason: ResetReason;
  /** The numbering that the new window belongs to. */
  readonly epoch: string;
  /** The window's new beginning: its first event is the one behind this seq. */
  readonly from: number;
  /** The last seq of the latest page. */
  readonly seq: number;
}

/** Something between `from` and `to` was not delivered: first unrecovered, then once more when it is known how it ended. */
export interface Gap {
  /** The first seq that is missing. */
  readonly from: number;
  /** The last one. */
  readonly to: number;
  /** Whether it came in the end. */
  readonly recovered: boolean;
}

/** The events of a room. */
export interface RoomEvents {
  /** An event was taken. */
  event: RoomEvent;
  /** The window was dropped for the latest page. */
  reset: RoomReset;
  /** Something was not delivered, or was after all. */
  gap: Gap;
}

/** One room. */
export interface Room<M = MessageBody> {
  /** The id, such as `chat:lobby`. */
  readonly id: string;
  /** How the room is. */
  readonly status: Readable<RoomStatus>;
  /**
   * Where the client stands, opaque, to go on from later; undefined before the first page. It is that of the last page while the
   * page's events are given one by one: who acts on events keeps it when `status` has changed.
   */
  readonly position: string | undefined;
  /** What was written in it, and the way to write. */
  readonly messages: Messages<M>;
  /**
   * Follows the room, and connects if need be. Counted: the room is left one macrotask after the last detach, so that
   * a detach and an attach in one go are nothing. Returns the detach.
   */
  attach(): Unsubscribe;
  /** Calls `fn` at each such event, until the Unsubscribe is called. */
  on<K extends keyof RoomEvents>(event: K, fn: (event: RoomEvents[K]) => void): Unsubscribe;
}
