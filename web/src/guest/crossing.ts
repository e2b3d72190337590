import type { Client, Readable, Room } from 'roomlog';
import type { Strip } from '../model/strip.ts';
import { Value } from '../model/value.ts';
import { devToken, headOf } from './devapi.ts';
import type { Body } from './guest.ts';
import type { Line } from './line.ts';

/** Where a pane is with respect to its tunnel. */
export type CrossingState =
  | { readonly kind: 'outside' }
  /** In it since `since` (epoch milliseconds). */
  | { readonly kind: 'inside'; readonly since: number }
  | { readonly kind: 'catching-up' }
  /** Out again, with what came meanwhile. */
  | { readonly kind: 'through'; readonly others: number; readonly own: number; readonly missing: number }
  /** The server did not do what the switch asked for. */
  | { readonly kind: 'stuck'; readonly reason: string };

/** The state of one pane's tunnel, and the account of each way through it. */
export class Crossing {
  readonly state = new Value<CrossingState>({ kind: 'outside' });
  /** The last seq received before going in. */
  #from = 0;
  #watching: AbortController | null = null;

  constructor(
    private readonly name: string,
    private readonly client: Client,
    private readonly room: Room<Body>,
    private readonly line: Line,
    private readonly strip: Strip,
  ) {
    line.state.subscribe(() => this.#onLine());
  }

  /** Goes in, or comes out and gives account. Failures end in the state `stuck`. */
  async set(inside: boolean): Promise<void> {
    this.#watching?.abort();
    try {
      if (inside) {
        // Who goes in again before having caught up accounts for both times together.
        if (this.state.get().kind !== 'catching-up') this.#from = this.strip.state.get().last;
        await this.line.hold(true);
      } else {
        this.state.set({ kind: 'catching-up' });
        await this.line.hold(false);
        await this.#account();
      }
    } catch (cause) {
      this.state.set({ kind: 'stuck', reason: cause instanceof Error ? cause.message : String(cause) });
    }
  }

  #onLine(): void {
    const line = this.line.state.get();
    const inside = line.kind === 'tunnel' && line.heldSince !== null;
    if (inside) this.state.set({ kind: 'inside', since: line.heldSince });
    // A new tunnel is open: the server that held the old one is gone, and the hold with it.
    else if (this.state.get().kind === 'inside') this.state.set({ kind: 'outside' });
  }

  /** Waits until all sends are settled and the head is reached, then counts. */
  async #account(): Promise<void> {
    const watching = new AbortController();
    this.#watching = watching;
    const { client, room, strip } = this;
    await until(
      [client.status],
      () => client.status.get().state === 'connected' && client.status.get().pendingSends === 0,
      watching.signal,
    );
    const head = await headOf(room.id, (await devToken(this.name)).token);
    await until([strip.state], () => strip.state.get().last >= head, watching.signal);
    if (!watching.signal.aborted) this.state.set({ kind: 'through', ...strip.between(this.#from, head) });
  }
}

/** Resolves when `holds` does, looking again at each change of `sources`, or when `signal` aborts. */
export function until(
  sources: readonly Pick<Readable<unknown>, 'subscribe'>[],
  holds: () => boolean,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise(resolve => {
    const undo = sources.map(source => source.subscribe(look));
    const finish = () => {
      for (const stop of undo) stop();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    function look() {
      if (holds()) finish();
    }
    signal?.addEventListener('abort', finish);
    if (signal?.aborted) finish();
    else look();
  });
}
