import { useMemo } from 'react';
import type { StateValues } from '../client/types.js';
import { useNearestRoom } from './hooks.js';
import { type HookSource, type IsEqual, useSource } from './source.js';

// What a server renders, and a browser while it hydrates.
const NOTHING = Object.freeze(Object.create(null)) as object;

/**
 * The state of the nearest RoomProvider's room, as `room.state.value`; renders again at each change of it, and of what `room.state.meta` and
 * `undoable` tell. Throws an Error where there is no RoomProvider.
 */
export function useRoomState<S = StateValues>(): Readonly<Partial<S>>;
/**
 * What `select` makes of it; renders again when that changes, compared as by `useReadable`. It may ask `room.state.meta` too. Where the room has
 * a type of its own, the argument of `select` names it: `(state: Partial<Board>) => …`.
 */
export function useRoomState<T, S = StateValues>(
  select: (state: Readonly<Partial<S>>) => T,
  isEqual?: IsEqual<T>,
): T;
export function useRoomState<T, S>(select?: (state: Readonly<Partial<S>>) => T, isEqual?: IsEqual<T>): T {
  const { state } = useNearestRoom<unknown, unknown, S>();
  const source = useMemo<HookSource<Readonly<Partial<S>>>>(
    () => ({
      get: () => state.value.get(),
      subscribe: onChange => state.value.subscribe(onChange),
      onServer: NOTHING as Partial<S>,
    }),
    [state],
  );
  return useSource(source, select, isEqual);
}
