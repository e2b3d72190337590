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

const holders = new Set<object>();
const ask = (event: Event) => event.preventDefault();

/**
 * Lets the browser ask before the page is left, while any holder wants it. The listener is there only as long: it costs
 * the page its place in the back/forward cache.
 */
export function holdPage(holder: object, holds: boolean): void {
  if (typeof window === 'undefined') return;
  if (holds) holders.add(holder);
  else holders.delete(holder);
  if (holders.size > 0) window.addEventListener('beforeunload', ask);
  else window.removeEventListener('beforeunload', ask);
}
