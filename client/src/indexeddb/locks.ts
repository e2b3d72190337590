const PREFIX = 'roomlog:sends:';

// Pages without a secure context have none.
const locks = (): LockManager | undefined =>
  (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks;

/**
 * The sign that the holder of some sends is alive: a Web Lock, which the browser lets go of when the page is closed, reloaded
 * or crashes. It is held only while there is something to hold, since it costs a page its place in the back/forward cache.
 */
export class HolderLock {
  readonly holder: string;
  #release: (() => void) | undefined;

  /** `holder` names the page, once in the world. */
  constructor(holder: string) {
    this.holder = holder;
  }

  /** Resolves when it is held. */
  async hold(): Promise<void> {
    const manager = locks();
    if (this.#release || !manager) return;
    await new Promise<void>((held, failed) => {
      const taken = () =>
        new Promise<void>(release => {
          this.#release = release;
          held();
        });
      manager.request(PREFIX + this.holder, taken).catch(failed);
    });
  }

  release(): void {
    this.#release?.();
    this.#release = undefined;
  }
}

/** Runs `task` while nobody else adopts. Without Web Locks others may. */
export async function adopting(owner: string, task: () => Promise<void>): Promise<void> {
  const manager = locks();
  if (manager) await manager.request(`roomlog:adopt:${owner}`, task);
  else await task();
}

/** Which holders are there at the moment; without Web Locks it cannot be told, and seems that none is. */
export async function alive(): Promise<(holder: string) => boolean> {
  const { held = [] } = (await locks()?.query()) ?? {};
  const names = new Set(held.map(({ name }) => name));
  return holder => names.has(PREFIX + holder);
}

/** Whether closed tabs can be told from open ones. */
export const canTell = (): boolean => locks() !== undefined;
