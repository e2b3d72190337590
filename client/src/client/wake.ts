import type { Unsubscribe } from './readable.js';

/** What the device says, where there is one that says anything. */
export interface DeviceEvents {
  /** Back from sleep, from another page, or from being offline: what was connected may be dead. */
  woke(): void;
  /** The network went away, as far as the device knows. */
  wentOffline(): void;
  /** The tab was hidden. */
  hidden(): void;
}

/** Whether the device says that it has no network. False where it says nothing. */
export function deviceOffline(): boolean {
  return typeof navigator !== 'undefined' && navigator.onLine === false;
}

/** Whether this is a tab that nobody sees. */
export function tabHidden(): boolean {
  return typeof document !== 'undefined' && document.visibilityState === 'hidden';
}

/** Listens to the device: browsers only, elsewhere it does nothing. */
export function watchDevice(events: DeviceEvents): Unsubscribe {
  if (typeof window === 'undefined' || typeof document === 'undefined') return () => {};
  const stop = new AbortController();
  const options = { signal: stop.signal };
  window.addEventListener('online', () => events.woke(), options);
  window.addEventListener('offline', () => events.wentOffline(), options);
  window.addEventListener('pageshow', e => e.persisted && events.woke(), options);
  document.addEventListener('resume', () => events.woke(), options);
  document.addEventListener(
    'visibilitychange',
    () => (tabHidden() ? events.hidden() : events.woke()),
    options,
  );
  return () => stop.abort();
}

/**
 * Has the browser `ask` before the page is left, or not. The listener, one of each who holds it, is there only as long as it is wanted: it
 * costs the page its place in the back/forward cache.
 */
export function holdPage(ask: (event: Event) => void, holds: boolean): void {
  if (typeof window !== 'undefined')
    window[holds ? 'addEventListener' : 'removeEventListener']('beforeunload', ask);
}
