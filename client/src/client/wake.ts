/** Whether the device says that it has no network. False where it says nothing. */
export function deviceOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}

/** Whether this is a tab that nobody sees. */
export function tabHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}
