import { useCallback, useEffect, useMemo, useSyncExternalStore } from 'react';
import type { RoomlogError } from '../client/error.js';
import type { Readable } from '../client/readable.js';
import type {
  ConnectionStatus,
  Message,
  MessageBody,
  Room,
  RoomStatus,
  SendHandle,
  SendOptions,
} from '../client/types.js';
import { useClient, useRoomId } from './context.js';

/** The present value of a Readable; renders again when it changes. */
export function useReadable<T>(readable: Readable<T>): T {
  const subscribe = useCallback((onChange: () => void) => readable.subscribe(onChange), [readable]);
  const get = useCallback(() => readable.get(), [readable]);
  return useSyncExternalStore(subscribe, get, get);
}

/** How the connection is, and the wish not to wait for the next attempt. */
export function useConnection(): ConnectionStatus & { retryNow(): void } {
  const client = useClient();
  const status = useReadable(client.status);
  return useMemo(() => ({ ...status, retryNow: () => client.retryNow() }), [client, status]);
}

/**
 * A room and how it is: the one named, attached while mounted, or that of the nearest RoomProvider. Throws where
 * there is neither.
 */
export function useRoom<M = MessageBody>(id?: string): { room: Room<M>; status: RoomStatus } {
  const client = useClient();
  const around = useRoomId();
  const name = id ?? around;
  if (name === undefined)
    throw new Error('roomlog/react: useRoom needs an id or a <RoomProvider> around it.');
  const room = client.room<M>(name);
  useEffect(() => (id === undefined ? undefined : room.attach()), [room, id]);
  const status = useReadable(room.status);
  return useMemo(() => ({ room, status }), [room, status]);
}

/** What `useMessages` gives. The functions stay the same from render to render. */
export interface UseMessages<M = MessageBody> {
  /** As `room.messages.list`. */
  messages: readonly Message<M>[];
  send(data: M, options?: SendOptions): SendHandle<M>;
  /** Sends a failed message again. */
  retry(tag: string): void;
  /** Takes back what is not stored. */
  discard(tag: string): boolean;
  /** Loads one page before the window; `error` says if that failed. */
  loadOlder(): void;
  hasOlder: boolean;
  isLoadingOlder: boolean;
  /** Whether the first page has not come yet. */
  isPending: boolean;
  /** Why the room was denied, or older messages could not be loaded. */
  error: RoomlogError | undefined;
}

/** The messages of the nearest RoomProvider's room. `pageSize` is what `loadOlder` asks for: 50. */
export function useMessages<M = MessageBody>({ pageSize = 50 }: { pageSize?: number } = {}): UseMessages<M> {
  const { room, status } = useRoom<M>();
  const messages = useReadable(room.messages.list);
  const older = useReadable(room.messages.older);
  const actions = useMemo(
    () => ({
      send: (data: M, options?: SendOptions) => room.messages.send(data, options),
      retry: (tag: string) => room.messages.retry(tag),
      discard: (tag: string) => room.messages.discard(tag),
      loadOlder: () => void room.messages.loadOlder(pageSize).catch(() => {}), // shown as `error`
    }),
    [room, pageSize],
  );
  return {
    ...actions,
    messages,
    hasOlder: older.hasMore,
    isLoadingOlder: older.loading,
    isPending: !status.loaded && !status.error,
    error: status.error ?? older.error,
  };
}
