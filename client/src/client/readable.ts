/** Undoes what was started. Calling it again does nothing. */
export type Unsubscribe = () => void;

/**
 * A value that changes: the contract of `useSyncExternalStore`. `get` returns the same object until the value
 * has changed; listeners are called in a microtask after a change, once for several. Iterating gives the present value, then the newest
 * after each change (a slow reader skips what lay between).
 */
export interface Readable<T> {
  /** The present value. */
  get(): T;
  /** Calls `onChange` after each change, until the Unsubscribe is called. */
  subscribe(onChange: () => void): Unsubscribe;
  /** The present value, then the newest after each change. */
  [Symbol.asyncIterator](): AsyncIterator<T>;
}

/** Calls a listener of the application's. What it throws is reported as uncaught and disturbs nothing of ours. */
export function callOut<A extends unknown[]>(fn: (...args: A) => void, ...args: A): void {
  try {
    fn(...args);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

abstract class Observable<T> implements Readable<T> {
  readonly #listeners = new Set<() => void>();
  readonly #asked: (() => void) | undefined;
  #notifying = false;

  /** `asked` is called at each subscription. */
  constructor(asked?: () => void) {
    this.#asked = asked;
  }

  abstract get(): T;

  subscribe(onChange: () => void): Unsubscribe {
    this.#asked?.();
    const listener = () => onChange(); // of its own, so that one function can listen twice
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    let wake = () => {};
    const stop = this.subscribe(() => wake());
    try {
      for (;;) {
        const changed = new Promise<void>(resolve => {
          wake = resolve;
        });
        yield this.get();
        await changed;
      }
    } finally {
      stop();
    }
  }

  /**
   * Calls the listeners in a microtask, once for all changes until then: a listener that sends, closes or detaches
   * never does so in the middle of a change of ours.
   */
  protected notify(): void {
    if (this.#notifying) return;
    this.#notifying = true;
    queueMicrotask(() => {
      this.#notifying = false;
      for (const listener of [...this.#listeners]) callOut(listener);
    });
  }
}

/** A Readable that its owner sets. */
export class Value<T> extends Observable<T> {
  #value: T;

  constructor(value: T, asked?: () => void) {
    super(asked);
    this.#value = value;
  }

  get(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    this.notify();
  }

  /** Sets it where a field is another than before. */
  update(value: T): void {
    const keys = Object.keys(value as object) as (keyof T)[];
    if (keys.some(key => !Object.is(value[key], this.#value[key]))) this.set(value);
  }
}

/** A Readable computed when it is read, and again only after `invalidate`. */
export class Derived<T> extends Observable<T> {
  readonly #compute: () => T;
  #cached: { value: T } | undefined;

  constructor(compute: () => T) {
    super();
    this.#compute = compute;
  }

  get(): T {
    this.#cached ??= { value: this.#compute() };
    return this.#cached.value;
  }

  invalidate(): void {
    this.#cached = undefined;
    this.notify();
  }
}

/** Named events with one argument each. */
export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  on<K extends keyof Events>(name: K, fn: (event: Events[K]) => void): Unsubscribe {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set);
    const listener = (event: Events[K]) => fn(event);
    set.add(listener);
    return () => void set.delete(listener);
  }

  emit<K extends keyof Events>(name: K, event: Events[K]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      callOut(listener as (event: Events[K]) => void, event);
    }
  }
}
