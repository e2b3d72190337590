/** Whether the device says that it has no network. False where it says nothing. */
export function deviceOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}

/** Whether this is a tab that nobody sees. */
export function tabHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}

/**
 * Has the browser `ask` before the page is left, or not. The listener, one of each who holds it, is there only as long as it is wanted: it
 * costs the page its place in the back/forward cache.
 */
export function holdPage(ask: (event: Event) => void, holds: boolean): void {
  globalThis.window?.[holds ? 'addEventListener' : 'removeEventListener']('beforeunload', ask);
}
