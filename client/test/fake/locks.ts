/** Web Locks (W3C), as far as they are used: exclusive locks, and a query of what is held. */
export class FakeLocks {
  readonly #held = new Map<string, () => void>();
  readonly #waiting: { name: string; take: () => void }[] = [];

  request = (name: string, callback: () => Promise<unknown>): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const take = () => {
        let free = false;
        const release = () => {
          if (free) return;
          free = true;
          this.#held.delete(name);
          const next = this.#waiting.findIndex(each => each.name === name);
          if (next >= 0) this.#waiting.splice(next, 1)[0]?.take();
        };
        this.#held.set(name, release);
        callback().then(resolve, reject).finally(release);
      };
      if (this.#held.has(name)) this.#waiting.push({ name, take });
      else take();
    });

  query = async () => ({ held: [...this.#held.keys()].map(name => ({ name })) });

  get names(): string[] {
    return [...this.#held.keys()];
  }

  /** The pages that hold something are gone, without a word; or those whose locks these are. */
  crash(isTheirs: (name: string) => boolean = () => true): void {
    for (let i = this.#waiting.length - 1; i >= 0; i--)
      if (isTheirs(this.#waiting[i]?.name ?? '')) this.#waiting.splice(i, 1);
    for (const [name, release] of [...this.#held]) if (isTheirs(name)) release();
  }
}
