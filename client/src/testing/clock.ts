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

/**
 * Puts a clock in the place of the runtime's: `setTimeout`, `setInterval`, `Date`, `performance.now`,
 * `AbortSignal.timeout` and `Math.random`, for clients, servers and the test itself. One at a time; `restore` ends it.
 * Fake timers of a test framework do as well, but leave the time limits of requests to real time.
 */
export function createTestClock({ now = Date.UTC(2026, 0, 1), seed = 1 }: TestClockOptions = {}): TestClock {
  const began = now;
  let state = seed;
  let last = 0;
  const timers = new Map<number, Timer>();

  const add = (run: (...args: unknown[]) => void, ms: unknown, repeats: boolean, args: unknown[]): number => {
    const wait = Math.max(1, Math.floor(Number(ms ?? 0)) || 0);
    timers.set(++last, {
      due: now + (repeats ? wait : Math.max(0, Math.ceil(Number(ms ?? 0)) || 0)),
      every: repeats ? wait : undefined,
      run: () => run(...args),
    });
    return last;
  };
  const remove = (id: unknown) => void timers.delete(Number(id));
  const RealDate = Date;
  const { setImmediate = setTimeout } = globalThis as { setImmediate?: (run: () => void) => unknown };
  /** Lets everything run that can run now: promises, and the runtime's own work. */
  const turn = () => new Promise<void>(resolve => setImmediate(resolve));

  const undo = put(globalThis, {
    setTimeout: (run: () => void, ms?: number, ...args: unknown[]) => add(run, ms, false, args),
    setInterval: (run: () => void, ms?: number, ...args: unknown[]) => add(run, ms, true, args),
    clearTimeout: remove,
    clearInterval: remove,
    Date: new Proxy(RealDate, {
      construct: (target, args: [], self) => Reflect.construct(target, args.length > 0 ? args : [now], self),
      apply: () => new RealDate(now).toString(),
      get: (target, key) => (key === 'now' ? () => now : Reflect.get(target, key)),
    }),
  });
  const undoParts = [
    put(performance, { now: () => now - began }),
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

  /** The timer that comes next, until a time; of several at one time the one that was set first. */
  const next = (until: number): [number, Timer] | undefined =>
    [...timers].reduce<[number, Timer] | undefined>(
      (first, each) => (each[1].due <= until && (!first || each[1].due < first[1].due) ? each : first),
      undefined,
    );

  return {
    now: () => now,
    get timers() {
      return timers.size;
    },
    async advance(ms) {
      const until = now + ms;
      await turn();
      for (let timer = next(until); timer; timer = next(until)) {
        const [id, { due, every, run }] = timer;
        now = Math.max(now, due);
        timers.delete(id);
        if (every !== undefined) timers.set(id, { due: now + every, every, run });
        run();
        await turn();
      }
      now = until;
    },
    restore() {
      for (const each of [undo, ...undoParts]) each();
      timers.clear();
    },
  };
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
