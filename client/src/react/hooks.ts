import { useEffect, useMemo, useRef } from 'react';
import type { RoomlogError } from '../client/error.js';
import type { Readable } from '../client/readable.js';
import type {
  ConnectionStatus,
  LostConnection,
  Message,
  MessageBody,
  Messages,
  PresenceData,
  Room,
  RoomStatus,
  SendHandle,
  SendOptions,
  StateValues,
} from '../client/types.js';
import { useClient, useRoomId } from './context.js';
import { combine, type IsEqual, useSource } from './source.js';

// What a server renders, and a browser while it hydrates: there, nothing is ever connected or joined.
const IDLE: ConnectionStatus = {
  state: 'idle',
  reason: undefined,
  retryAt: undefined,
  attempt: 0,
  rttMs: undefined,
  pendingSends: 0,
  transport: undefined,
  lastSyncedAt: undefined,
  node: undefined,
  degraded: [],
};
const DETACHED: RoomStatus = {
  state: 'detached',
  seq: 0,
  behind: 0,
  gaps: 0,
  loaded: false,
  error: undefined,
};
const NO_MESSAGES: readonly Message<never>[] = [];

/** The present value of a Readable; renders again when it changes. */
export function useReadable<T>(readable: Pick<Readable<T>, 'get' | 'subscribe'>): T;
/**
 * What `select` makes of a Readable; renders again when that changes. It counts as the same while `isEqual` says so: by default,
 * while it is identical, or a plain object or array with identical fields.
 */
export function useReadable<T, S>(
  readable: Pick<Readable<T>, 'get' | 'subscribe'>,
  select: (value: T) => S,
  isEqual?: IsEqual<S>,
): S;
export function useReadable<T, S>(
  readable: Pick<Readable<T>, 'get' | 'subscribe'>,
  select?: (value: T) => S,
  isEqual?: IsEqual<S>,
): S {
  return useSource(readable, select, isEqual);
}

/** What `useConnection` gives: the status of the client, and the wish not to wait for the next attempt. */
export interface UseConnection extends ConnectionStatus {
  /** As `client.retryNow`. */
  retryNow(): void;
}

/** How the connection is; renders again at each change. */
export function useConnection(): UseConnection;
/** What `select` makes of how the connection is; renders again when that changes, compared as by `useReadable`. */
export function useConnection<S>(select: (connection: UseConnection) => S, isEqual?: IsEqual<S>): S;
export function useConnection<S>(select?: (connection: UseConnection) => S, isEqual?: IsEqual<S>): S {
  const client = useClient();
  const connection = useMemo(() => {
    const retryNow = () => client.retryNow();
    return combine([client.status], () => ({ ...client.status.get(), retryNow }), { ...IDLE, retryNow });
  }, [client]);
  return useSource(connection, select, isEqual);
}

/**
 * Calls `fn`, as it was in the last render, when a connection has been `lost` for `lostAfterMs` (5,000), is `restored`, or has
 * `failed` for good: for a toast. What is to be shown all the while is in `useConnection`.
 */
export function useLostConnection(fn: (event: LostConnection) => void): void {
  const client = useClient();
  const latest = useRef(fn);
  useEffect(() => {
    latest.current = fn;
  });
  useEffect(() => client.on('lost-connection', event => latest.current(event)), [client]);
}

/** What `useRoom` gives. */
export interface UseRoom<M = MessageBody> {
  /** The same object each time: an id names one room of a client. */
  readonly room: Room<M>;
  /** As `room.status`. */
  readonly status: RoomStatus;
}

/**
 * A room and how it is; renders again at each change of its status. The room is the one named, attached while mounted, or that of
 * the nearest RoomProvider; throws an Error where there is neither.
 */
export function useRoom<M = MessageBody>(id?: string): UseRoom<M>;
/**
 * What `select` makes of the nearest RoomProvider's room and how it is; renders again when that changes, compared as by `useReadable`.
 * Throws an Error where there is no RoomProvider.
 */
export function useRoom<S, M = MessageBody>(select: (room: UseRoom<M>) => S, isEqual?: IsEqual<S>): S;
/** The same of the room that is named, which is attached while mounted. */
export function useRoom<S, M = MessageBody>(
  id: string | undefined,
  select: (room: UseRoom<M>) => S,
  isEqual?: IsEqual<S>,
): S;
export function useRoom<S, M>(
  first?: string | ((room: UseRoom<M>) => S),
  second?: ((room: UseRoom<M>) => S) | IsEqual<S>,
  third?: IsEqual<S>,
): S {
  const [id, select, isEqual] =
    typeof first === 'function' ? [undefined, first, second] : [first, second, third];
  const room = useNearestRoom<M>(id);
  useEffect(() => (id === undefined ? undefined : room.attach()), [room, id]);
  const source = useMemo(
    () => combine([room.status], () => ({ room, status: room.status.get() }), { room, status: DETACHED }),
    [room],
  );
  return useSource(source, select as (room: UseRoom<M>) => S, isEqual as IsEqual<S>);
}

/** The room that is named, or the nearest RoomProvider's. Throws an Error where there is neither. */
export function useNearestRoom<M = MessageBody, P = PresenceData, S = StateValues>(
  id?: string,
): Room<M, P, S> {
  const client = useClient();
  const around = useRoomId();
  const name = id ?? around;
  if (name === undefined) {
    throw new Error('roomlog/react: there is no <RoomProvider> around this component.');
  }
  return client.room<M, P, S>(name);
}

/** What `useMessages` gives. The functions stay the same from render to render. */
export interface UseMessages<M = MessageBody> {
  /** As `room.messages.list`: a row's key is its `tag`, before and after the ack. */
  readonly messages: readonly Message<M>[];
  /** As `room.messages.send`: the message is in `messages` at once. */
  send(data: M, options?: SendOptions): SendHandle<M>;
  /** Sends a failed message again. Does nothing for any other. */
  retry(tag: string): void;
  /** Takes back what is not stored: true if it is gone from the list. */
  discard(tag: string): boolean;
  /** As `room.messages.edit`: it shows at once. */
  edit(target: number | string, data: M): SendHandle<unknown>;
  /** As `room.messages.remove`. */
  remove(target: number | string, reason?: string): SendHandle<unknown>;
  /** As `room.messages.react`; `unreact` takes it back. */
  react(target: number | string, emoji: string): SendHandle<unknown>;
  /** As `room.messages.unreact`. */
  unreact(target: number | string, emoji: string): SendHandle<unknown>;
  /** Loads one page before the window; `error` says if that failed. */
  loadOlder(): void;
  /** Whether there is something before the window. */
  readonly hasOlder: boolean;
  /** Whether older messages are being loaded. */
  readonly isLoadingOlder: boolean;
  /** As `room.receipts.firstUnread`, where the option `unread` asks for it; else null. */
  readonly firstUnreadSeq: number | null;
  /** Whether the first page has not come yet, nor a refusal. */
  readonly isPending: boolean;
  /** Why the room was denied, or older messages could not be loaded. Why one message failed is its own `error`. */
  readonly error: RoomlogError | undefined;
}

/** How `useMessages` pages. */
export interface UseMessagesOptions {
  /** How many events `loadOlder` asks for. 50. */
  pageSize?: number;
  /** Whether `firstUnreadSeq` is told, for which the room's receipts are asked for. False. */
  unread?: boolean;
}

/**
 * The messages of the nearest RoomProvider's room and what can be done with them; renders again at each change. Throws an Error where
 * there is no RoomProvider.
 */
export function useMessages<M = MessageBody>(options?: UseMessagesOptions): UseMessages<M>;
/**
 * What `select` makes of the messages of the nearest RoomProvider's room and of what can be done with them; renders again when that
 * changes, compared as by `useReadable`. Where the room has a type of its own, the argument of `select` names it:
 * `(m: UseMessages<Card>) => …`.
 */
export function useMessages<S, M = MessageBody>(
  select: (messages: UseMessages<M>) => S,
  isEqual?: IsEqual<S>,
): S;
export function useMessages<S, M>(
  given: UseMessagesOptions | ((messages: UseMessages<M>) => S) = {},
  isEqual?: IsEqual<S>,
): S {
  const select = typeof given === 'function' ? given : undefined;
  const { pageSize = 50, unread = false } = given as UseMessagesOptions;
  const room = useNearestRoom<M>();
  const source = useMemo(() => messagesOf(room, pageSize, unread), [room, pageSize, unread]);
  return useSource(source, select, isEqual);
}

/** What is the same in `room.messages`. */
type Shared = keyof UseMessages & keyof Messages;

function messagesOf<M>({ messages, receipts, status }: Room<M>, pageSize: number, unread: boolean) {
  const { list, older } = messages;
  const { firstUnread } = receipts;
  const actions: Pick<UseMessages<M>, Shared | 'loadOlder'> = {
    send: (data, options) => messages.send(data, options),
    retry: tag => messages.retry(tag),
    discard: tag => messages.discard(tag),
    edit: (target, data) => messages.edit(target, data),
    remove: (target, reason) => messages.remove(target, reason),
    react: (target, emoji) => messages.react(target, emoji),
    unreact: (target, emoji) => messages.unreact(target, emoji),
    loadOlder: () => void messages.loadOlder(pageSize).catch(() => {}), // shown as `error`
  };
  const build = (): UseMessages<M> => ({
    ...actions,
    messages: list.get(),
    hasOlder: older.get().hasMore,
    isLoadingOlder: older.get().loading,
    firstUnreadSeq: unread ? firstUnread.get() : null,
    isPending: !status.get().loaded && !status.get().error,
    error: status.get().error ?? older.get().error,
  });
  return combine([list, older, status, ...(unread ? [firstUnread] : [])], build, {
    ...actions,
    messages: NO_MESSAGES,
    hasOlder: false,
    isLoadingOlder: false,
    firstUnreadSeq: null,
    isPending: true,
    error: undefined,
  });
}
