/** An object of JSON. */
export type Fields = Record<string, unknown>;

/** Whether v is an object of JSON: see `check` of the protocol, which this chunk cannot share with the core. */
export const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);

/** A frame of a side: a whole snapshot, or what changed since the version before it. */
export interface SideFrame extends Fields {
  readonly room: string;
}

const list = (v: unknown): readonly unknown[] => (Array.isArray(v) ? v : []);

/** How long the answer to a `sync` may take until it is asked for again. */
const SYNC_MS = 5_000;

/**
 * The latest values of a side, by key. They follow from versions: a frame that was missed is noticed by the next one, and the snapshot is asked
 * for. A value that is the same as before stays the same object.
 */
export class Snapshot<V> {
  readonly values = new Map<string, V>();
  readonly #json = new Map<string, string>();
  readonly #read: (fields: Fields) => [key: string, value: V] | undefined;
  #version: unknown;
  #askedAt = Number.NEGATIVE_INFINITY;

  /** `read` makes a value of what the server said, and gives undefined for what is none. */
  constructor(read: (fields: Fields) => [key: string, value: V] | undefined) {
    this.#read = read;
  }

  /**
   * Takes a frame. Where it does not go on from what is there nothing is taken, and `sync` is called. What a stale one does not name
   * stays: it may not be all there is (PRES-11).
   */
  take(frame: SideFrame, sync: () => void): boolean {
    const full = frame.full === true;
    if (!full && (this.#version === undefined || frame.prev !== this.#version)) {
      this.doubt(sync);
      return false;
    }
    if (full) this.#askedAt = Number.NEGATIVE_INFINITY;
    this.#version = frame.version;
    const before = new Set(full && !frame.stale ? this.values.keys() : list(frame.gone).map(String));
    for (const fields of list(frame.set)) {
      const read = isFields(fields) ? this.#read(fields) : undefined;
      if (!read) continue;
      const [key, value] = read;
      before.delete(key);
      const json = JSON.stringify(fields);
      if (this.#json.get(key) === json) continue;
      this.#json.set(key, json);
      this.values.set(key, value);
    }
    for (const key of before) this.#forget(key);
    return true;
  }

  /** What is there may not be right: asks for all of it, unless that was asked for already. */
  doubt(sync: () => void): void {
    const now = performance.now();
    if (now - this.#askedAt < SYNC_MS) return;
    this.#askedAt = now;
    sync();
  }

  /** The connection is gone: what comes next on another one begins with a snapshot. */
  down(): void {
    this.#version = undefined;
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }

  /** Forgets everything. */
  clear(): void {
    this.down();
    this.forget();
  }

  /** Forgets the values; what comes next goes on from the same version. */
  forget(): void {
    for (const key of [...this.values.keys()]) this.#forget(key);
  }

  #forget(key: string): void {
    this.values.delete(key);
    this.#json.delete(key);
  }
}

/** Sets a list, unless it has the same members in the same order. */
export function setList<T>(
  value: { get(): readonly T[]; set(value: readonly T[]): void },
  next: readonly T[],
): void {
  const before = value.get();
  if (next.length !== before.length || next.some((each, i) => each !== before[i])) value.set(next);
}
