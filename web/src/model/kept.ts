import { Value } from './value.ts';

/** A value that is kept for the origin and is the same in all its tabs; in this tab alone where storage is forbidden. */
export class Kept<T> {
  readonly #value: Value<T>;

  /** @param parse makes a value of what was kept, which may be anything, or of null where nothing was */
  constructor(
    private readonly key: string,
    private readonly parse: (kept: unknown) => T,
  ) {
    this.#value = new Value(this.#read());
    addEventListener('storage', event => {
      if (event.key === key) this.#value.set(this.#read());
    });
  }

  readonly get = (): T => this.#value.get();

  readonly subscribe = (onChange: () => void): (() => void) => this.#value.subscribe(onChange);

  /** Replaces the value by what `change` makes of the newest, which another tab may have written just now. */
  update(change: (newest: T) => T): void {
    const next = change(this.#read());
    this.#value.set(next);
    try {
      localStorage.setItem(this.key, JSON.stringify(next));
    } catch {
      // Forbidden or full: it holds until the page is left.
    }
  }

  #read(): T {
    try {
      const text = localStorage.getItem(this.key);
      if (text === null && this.#value) return this.#value.get();
      return this.parse(text === null ? null : JSON.parse(text));
    } catch {
      return this.#value ? this.#value.get() : this.parse(null);
    }
  }
}

/** Makes a table of what was kept, leaving out what is not of the kind that `holds` tells. */
export function tableOf<T>(
  kept: unknown,
  holds: (value: unknown) => value is T,
): Readonly<Record<string, T>> {
  if (typeof kept !== 'object' || kept === null) return {};
  return Object.fromEntries(Object.entries(kept).filter((entry): entry is [string, T] => holds(entry[1])));
}

/** Whether a value is text. */
export const isText = (value: unknown): value is string => typeof value === 'string';

/** Whether a value is a number. */
export const isNumber = (value: unknown): value is number => typeof value === 'number';
