import { useEffect, useState, useSyncExternalStore } from 'react';

/** The current value of anything with `get` and `subscribe`. */
export function useReadable<T>(source: { get(): T; subscribe(onChange: () => void): () => void }): T {
  return useSyncExternalStore(
    onChange => source.subscribe(onChange),
    () => source.get(),
    () => source.get(),
  );
}

/** The time (epoch milliseconds), anew each `everyMs` while `running`. */
export function useNow(running: boolean, everyMs = 250): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (!running) return;
    setNow(Date.now());
    const ticking = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(ticking);
  }, [running, everyMs]);
  return now;
}

/** Whether `pending` has been true for `afterMs` without a break. */
export function useLate(pending: boolean, afterMs: number): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!pending) {
      setLate(false);
      return;
    }
    const waiting = setTimeout(() => setLate(true), afterMs);
    return () => clearTimeout(waiting);
  }, [pending, afterMs]);
  return pending && late;
}
