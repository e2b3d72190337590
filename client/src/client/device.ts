/** What the device says, where there is one that says anything. */
export interface DeviceEvents {
  /** Back from sleep, from another page, or from being offline: what was connected may be dead. */
  woke(): void;
  /** The network went away, as far as the device knows. */
  wentOffline(): void;
  /** The tab has been hidden for so long that it needs no connection. True: ask again after as long. */
  pause(): boolean;
}

/** How long a hidden tab keeps its connection unless told otherwise, in milliseconds. */
const PAUSE_MS = 300_000;

const watched = new WeakMap<AbortSignal, () => void>();

/**
 * Listens to the device until `over`: browsers only, elsewhere it does nothing. To be called at each dial: once for each signal it begins to
 * listen, and each time the wait of a hidden tab begins anew.
 */
export function watchDevice(
  events: DeviceEvents,
  over: AbortSignal,
  pauseMs: number | false = PAUSE_MS,
): void {
  if (typeof window === 'undefined' || typeof document === 'undefined' || over.aborted) return;
  const before = watched.get(over);
  if (before) {
    before();
    return;
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    clearTimeout(timer);
    if (document.visibilityState === 'hidden' && pauseMs !== false) {
      timer = setTimeout(() => events.pause() && look(), pauseMs);
    }
  };
  const woke = () => {
    look();
    events.woke();
  };
  watched.set(over, look);
  const options = { signal: over };
  over.addEventListener('abort', () => clearTimeout(timer));
  window.addEventListener('online', woke, options);
  window.addEventListener('offline', () => events.wentOffline(), options);
  window.addEventListener('pageshow', e => e.persisted && woke(), options);
  document.addEventListener('resume', woke, options);
  document.addEventListener(
    'visibilitychange',
    () => (document.visibilityState === 'hidden' ? look() : woke()),
    options,
  );
  look();
}

const asks = new WeakMap<object, (event: Event) => void>();

/**
 * Has the browser ask before the page is left, or not. The listener, one of each `owner` who holds it, is there only as long as it is wanted: it
 * costs the page its place in the back/forward cache.
 */
export function holdPage(owner: object, holds: boolean): void {
  const ask = asks.get(owner) ?? ((event: Event) => event.preventDefault());
  asks.set(owner, ask);
  globalThis.window?.[holds ? 'addEventListener' : 'removeEventListener']('beforeunload', ask);
}
