/** The subprotocol that a client offers (VER-1). */
export const SUBPROTOCOL = 'roomlog.v1';

/** The largest frame a server takes unless its `welcome` says otherwise, in bytes (CLOSE-5). */
export const FRAME_BYTES = 1 << 20;

/** One entry of a room's log (ROOM-6). */
export interface WireEvent {
  /** The id of the room. */
  room: string;
  /** Its place in the room: 1, 2, 3 … */
  seq: number;
  /** `message` or another. */
  type: string;
  /** The user who sent it. */
  author: string;
  /** The UUID that its sender made for it. */
  tag: string;
  /** When it was stored, RFC 3339 with microseconds. It orders nothing. */
  at: string;
  /** The JSON value that was sent; null for what was deleted. */
  data: unknown;
  /** Of a change: the seq of the message it changes (CHG-1). */
  target?: number;
  /** What deleted it (CHG-7). */
  deleted?: { seq: number; by: string; at: string };
  /** Where it was read as present content: the last edit (CHG-9). */
  edited?: { seq: number; at: string };
  /** Likewise: who reacted, at most ten of them by name. */
  reactions?: readonly { emoji: string; count: number; users: readonly string[] }[];
}

/** One key of a room's state: its value, or that it was deleted, and the event that made it so (STATE). */
export interface StateEntry {
  /** The JSON value; absent where it was deleted. */
  value?: unknown;
  /** Whether it was deleted. */
  deleted?: true;
  /** The seq of that event: of two entries the one with the higher seq counts. */
  seq: number;
  /** Who sent it. */
  author: string;
  /** When it was stored. It decides nothing. */
  at: string;
}

/** What changed in `(prev, seq]` (PAGE-1). `position` is the opaque position of `seq`. */
export interface Page {
  /** The seq that it begins behind. */
  prev: number;
  /** The seq that it ends with. */
  seq: number;
  /** The opaque position at its end. */
  position: string;
  /** What happened between, in the order of seq; without the events of type `state` that `state` stands for, and the updates that `docs` tells of. */
  events: readonly WireEvent[];
  /** By key, what is true at the end of what changed between (STATE). */
  state?: Readonly<Record<string, StateEntry>>;
  /** Whether `state` is all there is, to take the place of what one has. */
  full?: boolean;
  /** Whether updates of documents are left out of `events` (DOC-12). */
  docs?: boolean;
}

/** `welcome`: the hello was taken (AUTH-7). */
export interface WelcomeFrame {
  op: 'welcome';
  connection: string;
  user: string;
  ping_ms: number;
  limits: Readonly<Record<string, number>>;
  node?: string;
}

/** `joined`: where the cursor stands, and its first page (JOIN-2). */
export interface JoinedFrame {
  op: 'joined';
  id?: number;
  room: string;
  epoch: string;
  floor: number;
  head: number;
  page: Page;
  reset?: { reason: string };
}

/** `page`: what follows. */
export interface PageFrame extends Page {
  op: 'page';
  room: string;
  epoch: string;
}

/** `ack`: a send is on durable storage (ACK-2). */
export interface AckFrame {
  op: 'ack';
  id?: number;
  room: string;
  seq: number;
  epoch: string;
  at: string;
  tag: string;
  duplicate: boolean;
}

/** `error`: a refusal, of a request or of the connection (ERR-2). */
export interface ErrorFrame {
  op: 'error';
  id?: number;
  code: string;
  title: string;
  field?: string;
  limit?: number;
  retryable: boolean;
  retry_after_ms?: number;
  room?: string;
  tag?: string;
  current?: Readonly<Record<string, StateEntry>>;
}

/** `reset`: the cursor has ended (RESET-2). */
export interface ResetFrame {
  op: 'reset';
  room: string;
  reason: string;
  epoch: string;
  floor: number;
  head: number;
}

/** `degraded`: what the server does without (NODE-2). `node` is of a transport that learns of it after the welcome. */
export interface DegradedFrame {
  op: 'degraded';
  parts: readonly string[];
  node?: string;
}

/** A sign of life, or the wish for one (BEAT-2). */
export interface BeatFrame {
  op: 'ping' | 'pong';
}

/** What a room shows beside its log (SIDE), as far as it is looked at where it is not used. */
export interface SideFrame {
  op: 'presence' | 'signals' | 'receipts' | 'marked' | 'part';
  room: string;
}

/** `me`: the rooms of the client's user. */
export interface MeFrame {
  op: 'me';
}

/** Everything a server says. */
export type ServerFrame =
  | WelcomeFrame
  | JoinedFrame
  | PageFrame
  | AckFrame
  | ErrorFrame
  | ResetFrame
  | DegradedFrame
  | SideFrame
  | MeFrame
  | BeatFrame;

/** What a client says, except `send`, which `sendFrame` writes (SEND-1). */
export type ClientFrame =
  | { op: 'hello'; token: string; client: string }
  | { op: 'refresh'; token: string }
  | {
      op: 'join';
      id: number;
      room: string;
      position: string | undefined;
      limit: number | undefined;
      replay: number | undefined;
      seen: number | undefined;
    }
  | { op: 'me' | 'presence' | 'signal' | 'read' | 'sync'; id: number }
  | { op: 'leave'; id: number; room: string }
  | BeatFrame;

/**
 * Writes a `send`. `data` is JSON text already: it was fixed when the send was made, so that a caller who
 * changes the object afterwards cannot turn a repeat into another event (TAG-4).
 */
export function sendFrame(
  id: number,
  n: number,
  send: { room: string; tag: string; type: string; json: string; ifSeq?: number | undefined },
): string {
  const { room, tag, type, ifSeq: if_seq } = send;
  const head = JSON.stringify({ op: 'send', id, n, room, tag, type, if_seq });
  return `${head.slice(0, -1)},"data":${send.json}}`;
}
