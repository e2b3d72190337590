/** A value that tells who asks when it changes: the shape of the client's Readable and of useSyncExternalStore. */
export class Value<T> {
  readonly #listeners = new Set<() => void>();
  #current: T;

  constructor(first: T) {
    this.#current = first;
  }

  /** Returns the current value; the same object until it is set again. */
  readonly get = (): T => this.#current;

  /** Calls `onChange` after each change, until the returned function is called. */
  readonly subscribe = (onChange: () => void): (() => void) => {
    this.#listeners.add(onChange);
    return () => this.#listeners.delete(onChange);
  };

  /** Replaces the value and tells the listeners, unless it is the one already there. */
  set(next: T): void {
    if (Object.is(next, this.#current)) return;
    this.#current = next;
    for (const listener of [...this.#listeners]) listener();
  }
}
