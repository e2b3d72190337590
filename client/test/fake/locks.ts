interface Held {
  release(): void;
  steal(): void;
}

/** Web Locks (W3C), as far as they are used: exclusive locks, waited for or taken, and a query of what is held. */
export class FakeLocks {
  readonly #held = new Map<string, Held>();
  readonly #waiting: { name: string; take: () => void }[] = [];

  request = (
    name: string,
    options: { steal?: boolean; signal?: AbortSignal } | (() => Promise<unknown>),
    callback = options as () => Promise<unknown>,
  ): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const { steal, signal } =
        typeof options === 'function' ? ({} as { steal?: boolean; signal?: AbortSignal }) : options;
      const take = () => {
        const held: Held = {
          release: () => {
            if (this.#held.get(name) !== held) return;
            this.#held.delete(name);
            const next = this.#waiting.findIndex(each => each.name === name);
            if (next >= 0) this.#waiting.splice(next, 1)[0]?.take();
          },
          steal: () => reject(new DOMException('taken', 'AbortError')),
        };
        this.#held.set(name, held);
        callback().then(resolve, reject).finally(held.release);
      };
      if (steal) {
        this.#held.get(name)?.steal();
        take();
      } else if (this.#held.has(name)) {
        const waits = { name, take };
        this.#waiting.push(waits);
        signal?.addEventListener('abort', () => {
          const at = this.#waiting.indexOf(waits);
          if (at < 0) return;
          this.#waiting.splice(at, 1);
          reject(new DOMException('given up', 'AbortError'));
        });
      } else take();
    });

  query = async () => ({ held: [...this.#held.keys()].map(name => ({ name })) });

  get names(): string[] {
    return [...this.#held.keys()];
  }

  /** The pages that hold something are gone, without a word; or those whose locks these are. */
  crash(isTheirs: (name: string) => boolean = () => true): void {
    for (let i = this.#waiting.length - 1; i >= 0; i--)
      if (isTheirs(this.#waiting[i]?.name ?? '')) this.#waiting.splice(i, 1);
    for (const [name, { release }] of [...this.#held]) if (isTheirs(name)) release();
  }
}
