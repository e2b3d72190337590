'use client';

/**
 * Roomlog for React: thin hooks over the client of `roomlog`. Their twins that suspend are in `roomlog/react/suspense`.
 *
 * @packageDocumentation
 */
export {
  RoomlogProvider,
  type RoomlogProviderProps,
  RoomProvider,
  type RoomProviderProps,
  useClient,
} from './context.js';
export { type UseFeed, useFeed } from './feed.js';
export {
  type UseConnection,
  type UseMessages,
  type UseMessagesOptions,
  type UseRoom,
  useConnection,
  useLostConnection,
  useMessages,
  useReadable,
  useRoom,
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
export { useRoomState } from './state.js';
