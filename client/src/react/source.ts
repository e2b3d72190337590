import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { Readable, Unsubscribe } from '../client/readable.js';

/** The part of a Readable that a hook needs. */
type Source<T> = Pick<Readable<T>, 'get' | 'subscribe'>;

/** A source of hooks that also knows what a server renders, where nothing ever changes. */
export interface HookSource<T> extends Source<T> {
  readonly onServer: T;
}

/** Several readables as one value, built anew only when one of them has changed. */
export function combine<T>(parts: readonly Source<unknown>[], build: () => T, onServer: T): HookSource<T> {
  let seen: readonly unknown[] | undefined;
  let value: T;
  return {
    onServer,
    get() {
      const now = parts.map(part => part.get());
      if (!seen?.every((before, i) => Object.is(before, now[i]))) {
        seen = now;
        value = build();
      }
      return value;
    },
    subscribe(onChange): Unsubscribe {
      const stops = parts.map(part => part.subscribe(onChange));
      return () => {
        for (const stop of stops) stop();
      };
    },
  };
}

/** Whether two selected values are taken for the same. */
export type IsEqual<S> = (a: S, b: S) => boolean;

/** Plain objects and arrays are equal if their fields are; everything else is if it is identical. */
function shallowEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!isPlain(a) || !isPlain(b)) return false;
  const keys = Object.keys(a);
  return (
    Array.isArray(a) === Array.isArray(b) &&
    keys.length === Object.keys(b).length &&
    keys.every(key => Object.hasOwn(b, key) && Object.is(a[key], b[key]))
  );
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Array.isArray(value);
}

const whole = (value: unknown): unknown => value;

/** What `select` makes of a source, the same object as long as `isEqual` says so; all of it without `select`. */
export function useSource<T, S>(
  source: Source<T> | HookSource<T>,
  select: (value: T) => S = whole as (value: T) => S,
  isEqual: IsEqual<S> = select === whole ? Object.is : shallowEqual,
): S {
  const shown = useRef<{ readonly value: S } | undefined>(undefined);
  const subscribe = useCallback((onChange: () => void) => source.subscribe(onChange), [source]);
  const [get, getOnServer] = useMemo(() => {
    let last: { readonly from: T; readonly value: S } | undefined;
    // A selector is mostly written in place, another function for each render: what was shown carries over.
    const selected = (from: T): S => {
      if (last && Object.is(last.from, from)) return last.value;
      const value = select(from);
      const before = last ?? shown.current;
      last = { from, value: before && isEqual(before.value, value) ? before.value : value };
      return last.value;
    };
    return [
      () => selected(source.get()),
      () => selected('onServer' in source ? source.onServer : source.get()),
    ] as const;
  }, [source, select, isEqual]);
  const value = useSyncExternalStore(subscribe, get, getOnServer);
  useEffect(() => {
    shown.current = { value };
  }, [value]);
  return value;
}
