'use client';

/**
 * The twin of `roomlog/react` for Suspense: the same names, but `useRoom`, `useMessages` and `useRoomState` suspend until the room's first page is
 * there. `useFeed` does not: a feed without events may have none for long. A room is always that of a `RoomProvider` of this entry, which
 * attaches it and shows `fallback` meanwhile.
 *
 * @packageDocumentation
 */
export { RoomlogProvider, type RoomlogProviderProps, useClient } from './context.js';
export { type UseFeed, useFeed } from './feed.js';
export {
  type UseConnection,
  type UseMessages,
  type UseMessagesOptions,
  type UseRoom,
  useConnection,
  useLostConnection,
  useReadable,
} from './hooks.js';
export {
  type UsePresence,
  type UseReceipts,
  type UseTyping,
  useMyPresence,
  useOthers,
  usePresence,
  useReceipts,
  useRooms,
  useTyping,
} from './people.js';
export type { IsEqual } from './source.js';
export {
  RoomProvider,
  type RoomProviderProps,
  useMessages,
  useRoom,
  useRoomState,
} from './suspending.js';
