import type { SideFrame } from './folded.js';
import type { Asides, Place } from './link.js';
import type { RoomPage } from './read.js';

/** What a tab follows, or a feed carries, and where it stands there. */
export type Places = [room: string, place: Place][];
/** What the server says of itself. */
export type Told = { op: 'degraded'; parts: readonly string[]; node?: string };
/** What a feed gives. */
export type Frame =
  | { op: 'ping' }
  | Told
  | SideFrame
  | { op: 'reset'; room: string }
  | { op: 'error'; room: string }
  | ({ op: 'page' } & RoomPage);

/** What tabs say to one another. All may be lost, repeated or late. */
export type Note =
  /** A tab: what it follows, where it stands, and what it asks and shows beside. Nothing: it leaves. `again`: sides that it lacks. */
  | { from: string; follows: Places; asides?: Asides; again?: readonly string[] }
  /** The holder: it is there, where its feed stands, and what the server says of itself. */
  | { holds: Places; told?: Told }
  /** The holder: what its feed gave. */
  | { frame: Frame }
  /** The holder: its feed is refused, or is at its end for a reason that concerns all. */
  | { doubt: true }
  | { close: [code: number, reason: string] }
  /** A tab: is the holder there? */
  | { ask: true };
