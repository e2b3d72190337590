/**
 * Roomlog for React: thin hooks over the client of `roomlog`.
 *
 * @packageDocumentation
 */
export { RoomlogProvider, RoomProvider, useClient } from './context.js';
export { type UseMessages, useConnection, useMessages, useReadable, useRoom } from './hooks.js';
