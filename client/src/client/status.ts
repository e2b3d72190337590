import type { TransportName } from '../transport/ladder.js';
import type { RoomlogError } from './error.js';

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
  /** The name of the server's node that it is connected to; undefined while there is none, or none with a name. */
  readonly node: string | undefined;
  /**
   * The parts that the server does without, such as `bus`: updates may be a second late then, and nothing is lost. Empty while
   * all is well, and while not connected.
   */
  readonly degraded: readonly string[];
}
