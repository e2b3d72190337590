/**
 * The client of Roomlog. A room is a log and a subscriber a cursor over it: `createClient`, `client.room(id)`,
 * `room.attach()`, then read `room.messages.list` and call `room.messages.send`. What is acked is stored exactly
 * once; every room is seen in the order of seq without hole or repeat, or a `reset` says why not.
 *
 * @packageDocumentation
 */
export { createClient } from './client/client.js';
export { RoomlogError } from './client/error.js';
export type { Readable, Unsubscribe } from './client/readable.js';
export type * from './client/storage.js';
export { newTag } from './client/tag.js';
export type * from './client/types.js';
export type { ErrorCode, ResetReason } from './protocol/codes.js';
export type { BackoffOptions } from './transport/backoff.js';
export type { TransportName } from './transport/ladder.js';
export type { WebSocketConstructor, WebSocketLike } from './transport/socket.js';
