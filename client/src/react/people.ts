import { useMemo } from 'react';
import type { Readable } from '../client/readable.js';
import type { Marks, Member, Occupancy, PresenceData, RoomOverview } from '../client/types.js';
import { useClient } from './context.js';
import { useNearestRoom } from './hooks.js';
import { combine, type HookSource, type IsEqual, useSource } from './source.js';

// What a server renders, and a browser while it hydrates: there, nobody is anywhere.
const NONE: readonly never[] = [];
const EMPTY: Occupancy = { users: 0, connections: 0, counts: false, stale: true };
const NO_MARKS: Marks = { users: NONE, delivered: { any: 0, all: 0 }, read: { any: 0, all: 0 } };

const shown = <T>(readable: Readable<T>, onServer: T): HookSource<T> => ({
  get: () => readable.get(),
  subscribe: onChange => readable.subscribe(onChange),
  onServer,
});

/** What `usePresence` gives. */
export interface UsePresence<P = PresenceData> {
  /** As `room.presence.self`. */
  readonly self: Member<P> | null;
  /** As `room.presence.others`. */
  readonly others: readonly Member<P>[];
  /** As `room.presence.occupancy`. */
  readonly occupancy: Occupancy;
}

/**
 * Who is in the nearest RoomProvider's room, the client's own user among them, who is seen by others from then on; renders again at each
 * change. Throws an Error where there is no RoomProvider.
 */
export function usePresence<P = PresenceData>(): UsePresence<P>;
/** What `select` makes of it; renders again when that changes, compared as by `useReadable`. */
export function usePresence<S, P = PresenceData>(
  select: (presence: UsePresence<P>) => S,
  isEqual?: IsEqual<S>,
): S;
export function usePresence<S, P>(select?: (presence: UsePresence<P>) => S, isEqual?: IsEqual<S>): S {
  const { presence } = useNearestRoom<unknown, P>();
  const source = useMemo(() => {
    const { self, others, occupancy } = presence;
    const build = () => ({ self: self.get(), others: others.get(), occupancy: occupancy.get() });
    return combine([self, others, occupancy], build, { self: null, others: NONE, occupancy: EMPTY });
  }, [presence]);
  return useSource(source, select, isEqual);
}

/** Everybody in the nearest RoomProvider's room but the client's own user; renders again at each change. */
export function useOthers<P = PresenceData>(): readonly Member<P>[];
/** What `select` makes of them; renders again when that changes, compared as by `useReadable`. */
export function useOthers<S, P = PresenceData>(
  select: (others: readonly Member<P>[]) => S,
  isEqual?: IsEqual<S>,
): S;
export function useOthers<S, P>(select?: (others: readonly Member<P>[]) => S, isEqual?: IsEqual<S>): S {
  const { presence } = useNearestRoom<unknown, P>();
  const source = useMemo(() => shown<readonly Member<P>[]>(presence.others, NONE), [presence]);
  return useSource(source, select, isEqual);
}

/**
 * The client's own presence data in the nearest RoomProvider's room, undefined until there is any, and `presence.set`, which stays the same from
 * render to render.
 */
export function useMyPresence<P = PresenceData>(): readonly [
  data: P | undefined,
  set: (patch: Partial<P>) => void,
] {
  const { presence } = useNearestRoom<unknown, P>();
  const source = useMemo(() => shown<Member<P> | null>(presence.self, null), [presence]);
  return [useSource(source, self => self?.data), presence.set];
}

/** What `useTyping` gives. The functions stay the same from render to render. */
export interface UseTyping {
  /** As `room.typing.who`. */
  readonly who: readonly string[];
  /** As `room.typing.keystroke`: to be called at each input. */
  readonly keystroke: () => void;
  /** As `room.typing.stop`: to be called on blur. */
  readonly stop: () => void;
}

/** Who types in the nearest RoomProvider's room, and the way to say that one does; renders again at each change. */
export function useTyping(): UseTyping {
  const { typing } = useNearestRoom();
  const source = useMemo(() => shown(typing.who, NONE), [typing]);
  const { keystroke, stop } = typing;
  return { who: useSource(source), keystroke, stop };
}

/** What `useReceipts` gives. The functions stay the same from render to render. */
export interface UseReceipts {
  /** As `room.receipts.lastRead`. */
  readonly lastRead: number;
  /** As `room.receipts.unread`: 1000 is more than 999. */
  readonly unread: number;
  /** As `room.receipts.firstUnread`. */
  readonly firstUnread: number | null;
  /** As `room.receipts.marks`. */
  readonly marks: Marks;
  /** As `room.receipts.markRead`. */
  readonly markRead: (upTo?: number) => void;
  /** As `room.receipts.readers`. */
  readonly readers: (seq: number) => readonly string[];
  /** As `room.receipts.reached`. */
  readonly reached: (seq: number) => 'sent' | 'delivered' | 'read';
}

/** Who has read what in the nearest RoomProvider's room; renders again at each change. */
export function useReceipts(): UseReceipts;
/** What `select` makes of it; renders again when that changes, compared as by `useReadable`. */
export function useReceipts<S>(select: (receipts: UseReceipts) => S, isEqual?: IsEqual<S>): S;
export function useReceipts<S>(select?: (receipts: UseReceipts) => S, isEqual?: IsEqual<S>): S {
  const { receipts } = useNearestRoom();
  const source = useMemo(() => {
    const { lastRead, unread, firstUnread, marks, markRead, readers, reached } = receipts;
    const actions = { markRead, readers, reached };
    const build = (): UseReceipts => ({
      ...actions,
      lastRead: lastRead.get(),
      unread: unread.get(),
      firstUnread: firstUnread.get(),
      marks: marks.get(),
    });
    return combine<UseReceipts>([lastRead, unread, firstUnread, marks], build, {
      ...actions,
      lastRead: 0,
      unread: 0,
      firstUnread: null,
      marks: NO_MARKS,
    });
  }, [receipts]);
  return useSource(source, select, isEqual);
}

/** The rooms of the client's user with their badges, as `client.rooms`; renders again at each change. */
export function useRooms(): readonly RoomOverview[];
/** What `select` makes of them; renders again when that changes, compared as by `useReadable`. */
export function useRooms<S>(select: (rooms: readonly RoomOverview[]) => S, isEqual?: IsEqual<S>): S;
export function useRooms<S>(select?: (rooms: readonly RoomOverview[]) => S, isEqual?: IsEqual<S>): S {
  const client = useClient();
  const source = useMemo(() => shown<readonly RoomOverview[]>(client.rooms, NONE), [client]);
  return useSource(source, select, isEqual);
}
