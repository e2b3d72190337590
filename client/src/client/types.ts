import type { ResetReason } from '../protocol/codes.js';
import type { BackoffOptions } from '../transport/backoff.js';
import type { TransportName } from '../transport/ladder.js';
import type { WebSocketConstructor } from '../transport/socket.js';
import type { RoomlogError } from './error.js';
import type { Deleted, Messages } from './message.js';
import type {
  Broadcast,
  BroadcastOptions,
  Presence,
  PresenceData,
  Receipts,
  RoomOverview,
  Typing,
} from './people.js';
import type { Readable, Unsubscribe } from './readable.js';
import type { LostWrite, SharedState, StateValues } from './state.js';
import type { ConnectionStatus } from './status.js';
import type { ClientStorage } from './storage.js';

export type * from './message.js';
export type * from './people.js';
export type * from './state.js';
export type { ConnectionState, ConnectionStatus } from './status.js';

/**
 * The application's own types, by augmentation:
 *
 * ```ts
 * declare module 'roomlog' {
 *   interface Register { message: { text: string }; presence: { x: number; y: number }; state: { title: string } }
 * }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications fill it
export interface Register {}

type Registered<K extends string, Default> = Register extends { [key in K]: infer T } ? T : Default;

/** The data of a message where a room names no type of its own. */
export type MessageBody = Registered<'message', { text: string }>;

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
  /** Whether lists keep the place of messages that were deleted: `deleted` is set then, and `data` null. False: they are left out. */
  tombstones?: boolean;
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
  /** As in ClientOptions, for this room. */
  tombstones?: boolean;
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
  room<M = MessageBody, P = PresenceData, S = StateValues>(id: string, options?: RoomOptions): Room<M, P, S>;
  /**
   * The rooms that the client's user belongs to, the one with the newest event first: a list with badges needs no room attached. It is asked
   * for when somebody first subscribes, and then follows every change.
   */
  readonly rooms: Readable<readonly RoomOverview[]>;
  /** Calls `fn` at each such event, until the Unsubscribe is called. */
  on<K extends keyof ClientEvents>(event: K, fn: (event: ClientEvents[K]) => void): Unsubscribe;
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
  /** What was sent; null where `deleted`. */
  readonly data: unknown;
  /** Of an `edit`, `delete` or `reaction`: the seq of its message. */
  readonly target: number | undefined;
  /** Who deleted it, where it is a message that was deleted since, or an edit of one. */
  readonly deleted: Deleted | undefined;
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
  /** Somebody else broadcast something, or it is over. Not stored, not repeated, and not one's own. */
  broadcast: Broadcast;
  /** A set of one's own does not stand: somebody else's came behind it within a minute, or it was refused. */
  lost: LostWrite;
  /** Updates of documents are left out of the events up to this seq, since there are many: who has a document open reads it, as `openDoc` does. */
  docs: number;
}

/** One room. */
export interface Room<M = MessageBody, P = PresenceData, S = StateValues> {
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
  /** Its state: values by key, of which the last that was set counts. */
  readonly state: SharedState<S>;
  /** Who is here. */
  readonly presence: Presence<P>;
  /** Who is typing. */
  readonly typing: Typing;
  /** Who has read what. */
  readonly receipts: Receipts;
  /** What others broadcast and have not ended: the latest of each connection, type and key. */
  readonly broadcasts: Readable<readonly Broadcast[]>;
  /**
   * Shows something to whoever follows the room now, such as where a cursor is. Nothing is stored, and of one type and key the latest counts:
   * it is sent at most every 40 ms, and not at all without a connection. `null` ends it.
   */
  broadcast(type: string, data: unknown, options?: BroadcastOptions): void;
  /**
   * Follows the room, and connects if need be. Counted: the room is left one macrotask after the last detach, so that
   * a detach and an attach in one go are nothing. Returns the detach.
   */
  attach(): Unsubscribe;
  /** Calls `fn` at each such event, until the Unsubscribe is called. */
  on<K extends keyof RoomEvents>(event: K, fn: (event: RoomEvents[K]) => void): Unsubscribe;
}
