import { useMemo } from 'react';
import type { RoomlogError } from '../client/error.js';
import type { Client } from '../client/types.js';
import type { Feed, FeedEvent, FeedOptions, FeedState } from '../feed/feed.js';
import { useClient } from './context.js';
import { type HookSource, type IsEqual, useSource } from './source.js';

/** What `useFeed` gives. */
export interface UseFeed<T = unknown> {
  /** The data of the newest event. */
  readonly data: T | undefined;
  /** As `feed.events`. */
  readonly events: readonly FeedEvent<T>[];
  /** `connecting`, `live`, or `stale` when nothing has come for `staleAfterMs`. */
  readonly status: FeedState;
  /** When the newest event was stored. */
  readonly updatedAt: Date | undefined;
  /** Why the room is denied. */
  readonly error: RoomlogError | undefined;
}

const NOTHING: UseFeed<never> = {
  data: undefined,
  events: [],
  status: 'connecting',
  updatedAt: undefined,
  error: undefined,
};

/** A room that is only looked at, followed while mounted: its newest event, and whether more come. Renders again at each change. */
export function useFeed<T = unknown>(id: string, options?: FeedOptions): UseFeed<T>;
/** What `select` makes of it; renders again when that changes, compared as by `useReadable`. */
export function useFeed<S, T = unknown>(
  id: string,
  options: FeedOptions | undefined,
  select: (feed: UseFeed<T>) => S,
  isEqual?: IsEqual<S>,
): S;
export function useFeed<S, T>(
  id: string,
  options: FeedOptions = {},
  select?: (feed: UseFeed<T>) => S,
  isEqual?: IsEqual<S>,
): S {
  const client = useClient();
  const { type, limit, staleAfterMs, pauseWhenHiddenMs } = options;
  const source = useMemo(() => {
    const given = { type, limit, staleAfterMs, pauseWhenHiddenMs };
    const set = Object.entries(given).filter(([, value]) => value !== undefined);
    return sourceOf<T>(client, id, Object.fromEntries(set));
  }, [client, id, type, limit, staleAfterMs, pauseWhenHiddenMs]);
  return useSource(source, select, isEqual);
}

/** A feed that is opened, and its code loaded, when somebody subscribes, and closed when nobody does any more. */
function sourceOf<T>(client: Client, id: string, options: FeedOptions): HookSource<UseFeed<T>> {
  const listeners = new Set<() => void>();
  let feed: Feed<T> | undefined;
  let shown: UseFeed<T> = NOTHING;
  const look = () => {
    if (!feed) return;
    const { state: status, updatedAt, error } = feed.status.get();
    shown = { data: feed.latest.get(), events: feed.events.get(), status, updatedAt, error };
    for (const listener of [...listeners]) listener();
  };
  const open = async () => {
    const { openFeed } = await import('../feed/feed.js');
    if (feed || listeners.size === 0) return;
    feed = openFeed<T>(client, id, options);
    feed.events.subscribe(look);
    feed.status.subscribe(look);
    look();
  };
  return {
    onServer: NOTHING,
    get: () => shown,
    subscribe(onChange) {
      const listener = () => onChange();
      listeners.add(listener);
      if (listeners.size === 1) void open();
      return () => {
        if (!listeners.delete(listener) || listeners.size > 0) return;
        feed?.close();
        feed = undefined;
      };
    },
  };
}
