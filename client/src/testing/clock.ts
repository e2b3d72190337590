/** A clock that stands still until it is told to go on. */
export interface TestClock {
  /** The present time, in epoch milliseconds. */
  now(): number;
  /**
   * Lets so many milliseconds pass: what is due comes in its order, each with everything that follows from it at once
   * (promises, microtasks). `advance(0)` lets what is due now come.
   */
  advance(ms: number): Promise<void>;
  /** How many timers wait. */
  readonly timers: number;
  /** Gives back the real time. Timers that wait never come. */
  restore(): void;
}

/** How a clock is made. */
export interface TestClockOptions {
  /** The time at which it begins, in epoch milliseconds. 2026-01-01T00:00:00Z. */
  now?: number;
  /** What `Math.random` draws from meanwhile, so that the random waits of a run are those of the next: an integer above 0. 1. */
  seed?: number;
}

interface Timer {
  due: number;
  every: number | undefined;
  run: () => void;
}

/** The timers that wait, and the time that they wait for. */
class Timers {
  now: number;
  readonly waiting = new Map<number, Timer>();
  #last = 0;

  constructor(now: number) {
    this.now = now;
  }

  set(run: (...args: unknown[]) => void, ms: unknown, repeats: boolean, args: unknown[]): number {
    const wait = Math.max(repeats ? 1 : 0, Math.ceil(Number(ms)) || 0);
    const every = repeats ? wait : undefined;
    this.waiting.set(++this.#last, { due: this.now + wait, every, run: () => run(...args) });
    return this.#last;
  }

  clear(id: unknown): void {
    this.waiting.delete(Number(id));
  }

  /** Runs the timer that comes next; of several at one time the one that was set first. False where none comes until then. */
  runNext(until: number): boolean {
    let next: [number, Timer] | undefined;
    for (const each of this.waiting) {
      if (each[1].due <= until && (!next || each[1].due < next[1].due)) next = each;
    }
    if (!next) return false;
    const [id, timer] = next;
    this.now = Math.max(this.now, timer.due);
    this.waiting.delete(id);
    if (timer.every !== undefined) this.waiting.set(id, { ...timer, due: this.now + timer.every });
    timer.run();
    return true;
  }
}

/**
 * Puts a clock in the place of the runtime's: `setTimeout`, `setInterval`, `Date`, `performance.now`,
 * `AbortSignal.timeout` and `Math.random`, for clients, servers and the test itself. One at a time; `restore` ends it.
 * Fake timers of a test framework do as well, but leave the time limits of requests to real time.
 */
export function createTestClock({ now = Date.UTC(2026, 0, 1), seed = 1 }: TestClockOptions = {}): TestClock {
  const timers = new Timers(now);
  const { setImmediate = setTimeout } = globalThis as { setImmediate?: (run: () => void) => unknown };
  /** Lets everything run that can run now: promises, and the runtime's own work. */
  const turn = () => new Promise<void>(resolve => setImmediate(resolve));
  const undo = install(timers, seed);
  return {
    now: () => timers.now,
    get timers() {
      return timers.waiting.size;
    },
    async advance(ms) {
      const until = timers.now + ms;
      await turn();
      while (timers.runNext(until)) await turn();
      timers.now = until;
    },
    restore() {
      for (const each of undo) each();
      timers.waiting.clear();
    },
  };
}

/** Puts what goes by time and chance into the globals' places. Returns what undoes it. */
function install(timers: Timers, seed: number): (() => void)[] {
  const began = timers.now;
  const RealDate = Date;
  let state = seed;
  return [
    put(globalThis, {
      setTimeout: (run: () => void, ms?: number, ...args: unknown[]) => timers.set(run, ms, false, args),
      setInterval: (run: () => void, ms?: number, ...args: unknown[]) => timers.set(run, ms, true, args),
      clearTimeout: (id: unknown) => timers.clear(id),
      clearInterval: (id: unknown) => timers.clear(id),
      Date: new Proxy(RealDate, {
        construct: (target, args: [], self) =>
          Reflect.construct(target, args.length > 0 ? args : [timers.now], self),
        apply: () => new RealDate(timers.now).toString(),
        get: (target, key) => (key === 'now' ? () => timers.now : Reflect.get(target, key)),
      }),
    }),
    put(performance, { now: () => timers.now - began }),
    put(AbortSignal, {
      timeout: (ms: number) => {
        const over = new AbortController();
        setTimeout(() => over.abort(new DOMException('The time is up.', 'TimeoutError')), ms);
        return over.signal;
      },
    }),
    put(Math, {
      // Park and Miller's: small, and never 0.
      random: () => {
        state = (state * 48_271) % 0x7fffffff;
        return state / 0x7fffffff;
      },
    }),
  ];
}

/** Puts properties in the place of others. Returns what undoes it. */
function put<T extends object>(target: T, values: { [K in keyof T]?: unknown }): () => void {
  const before = Object.keys(values).map(key => [key, Object.getOwnPropertyDescriptor(target, key)] as const);
  for (const [key, value] of Object.entries(values)) {
    Object.defineProperty(target, key, { value, configurable: true, writable: true });
  }
  return () => {
    for (const [key, descriptor] of before) {
      if (descriptor) Object.defineProperty(target, key, descriptor);
      else Reflect.deleteProperty(target, key);
    }
  };
}
