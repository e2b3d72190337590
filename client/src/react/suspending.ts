import {
  createContext,
  createElement,
  type ReactNode,
  Suspense,
  useContext,
  useSyncExternalStore,
} from 'react';
import type { Client, MessageBody, Room, StateValues } from '../client/types.js';
import {
  RoomProvider as AttachedRoom,
  type RoomProviderProps as AttachedRoomProps,
  useClient,
  useRoomId,
} from './context.js';
import type { UseMessages, UseMessagesOptions, UseRoom } from './hooks.js';
import * as hooks from './hooks.js';
import type { IsEqual } from './source.js';
import { useRoomState as plainRoomState } from './state.js';

/** The room whose boundary is around: what suspends has no effects, so that only a provider outside can attach it. */
const BoundaryContext = createContext<string | undefined>(undefined);

const never = () => () => {};

/** What a RoomProvider of `roomlog/react/suspense` is given. */
export interface RoomProviderProps extends AttachedRoomProps {
  /** Shown until the first page is there, by a server too, and while hydrating. Nothing unless given. */
  fallback?: ReactNode;
}

/**
 * Attaches a room while mounted, and is the Suspense boundary of the hooks inside. A server renders `fallback` and is done: nothing
 * of a room is known there. When `id` changes, what is inside is mounted anew and `fallback` shown, in a transition too.
 */
export function RoomProvider({ id, fallback, children }: RoomProviderProps): ReactNode {
  const hydrated = useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
  // By its key another room is another boundary. One that is shown already would hold a transition back until the room
  // is there, and the room is attached only when the transition is through.
  const boundary = createElement(Suspense, { key: id, fallback }, children);
  const inside = createElement(BoundaryContext.Provider, { value: id }, hydrated ? boundary : fallback);
  return createElement(AttachedRoom, { id }, inside);
}

/**
 * The room of the nearest RoomProvider and how it is, once its first page is there: suspends until then. Throws the RoomlogError
 * to an error boundary if the room is denied, or the connection failed for good, before that; what happens later is in `status`.
 */
export function useRoom<M = MessageBody>(): UseRoom<M>;
/** What `select` makes of the two, compared as by `useReadable`; suspends and throws alike. */
export function useRoom<S, M = MessageBody>(select: (room: UseRoom<M>) => S, isEqual?: IsEqual<S>): S;
export function useRoom<S, M>(select?: (room: UseRoom<M>) => S, isEqual?: IsEqual<S>): S {
  useFirstPage();
  return hooks.useRoom(undefined, select as (room: UseRoom<M>) => S, isEqual);
}

/**
 * As `useMessages` of `roomlog/react`, once the room's first page is there: suspends until then, so that `isPending` is false. Throws
 * the RoomlogError to an error boundary if the room is denied, or the connection failed for good, before that; what happens
 * later is in `error`.
 */
export function useMessages<M = MessageBody>(options?: UseMessagesOptions): UseMessages<M>;
/** What `select` makes of them, compared as by `useReadable`; suspends and throws alike. */
export function useMessages<S, M = MessageBody>(
  select: (messages: UseMessages<M>) => S,
  isEqual?: IsEqual<S>,
): S;
export function useMessages<S, M>(
  given?: UseMessagesOptions | ((messages: UseMessages<M>) => S),
  isEqual?: IsEqual<S>,
): S {
  useFirstPage();
  return hooks.useMessages(given as (messages: UseMessages<M>) => S, isEqual);
}

/**
 * As `useRoomState` of `roomlog/react`, once the room's first page is there: suspends until then. Throws as `useMessages` does. Values come a
 * moment later where their code is loaded for the first time.
 */
export function useRoomState<S = StateValues>(): Readonly<Partial<S>>;
/** What `select` makes of it, compared as by `useReadable`; suspends and throws alike. */
export function useRoomState<T, S = StateValues>(
  select: (state: Readonly<Partial<S>>) => T,
  isEqual?: IsEqual<T>,
): T;
export function useRoomState<T, S>(select?: (state: Readonly<Partial<S>>) => T, isEqual?: IsEqual<T>): T {
  useFirstPage();
  return plainRoomState(select as (state: Readonly<Partial<S>>) => T, isEqual);
}

function useFirstPage(): void {
  const client = useClient();
  const id = useContext(BoundaryContext);
  const around = useRoomId();
  if (id === undefined || id !== around) {
    throw new Error(
      'roomlog/react/suspense: there is no <RoomProvider> of this entry around this component.',
    );
  }
  const room = client.room<unknown>(id);
  if (room.status.get().loaded) return;
  throw refusal(client, room) ?? firstPage(client, room);
}

/** Why there will be no first page. A room that is not attached at the moment, though it was denied, is tried again. */
function refusal(client: Client, room: Room<unknown>): Error | undefined {
  const { state, error } = room.status.get();
  const connection = client.status.get();
  return state === 'denied' ? error : connection.state === 'failed' ? connection.reason : undefined;
}

/** One promise per room, as React wants it, for as long as it is open. */
const waiting = new WeakMap<Room<unknown>, Promise<void>>();

/** Resolves when it is known whether there is a first page. */
function firstPage(client: Client, room: Room<unknown>): Promise<void> {
  const before = waiting.get(room);
  if (before) return before;
  const promise = new Promise<void>(resolve => {
    const look = () => {
      if (!room.status.get().loaded && !refusal(client, room)) return;
      for (const stop of stops) stop();
      waiting.delete(room);
      resolve();
    };
    const stops = [room.status.subscribe(look), client.status.subscribe(look)];
  });
  waiting.set(room, promise);
  return promise;
}
