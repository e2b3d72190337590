import { Value } from '../model/value.ts';
import { holdTunnel, leaveTunnel, openTunnel, Refused, type Tunnel, tunnelExists } from './devapi.ts';

/** The way a pane's connection takes to the server. */
export type LineState =
  | { readonly kind: 'opening' }
  /** Straight to the server, since it has no tunnels; `reason` says so. */
  | { readonly kind: 'direct'; readonly reason: string }
  /** Through a tunnel; `heldSince` (epoch milliseconds) while nothing passes it. */
  | { readonly kind: 'tunnel'; readonly tunnel: Tunnel; readonly heldSince: number | null };

/**
 * One pane's own line. All its sockets go through a tunnel from the start, so that holding the tunnel
 * holds the living connection as well; requests over plain HTTP go beside it.
 */
export class Line {
  readonly state = new Value<LineState>({ kind: 'opening' });
  #checking: Promise<void> | null = null;

  /**
   * Sees to it that there is a tunnel: opens the first, and another when that one has gone with the
   * server's process. Calls at the same time share one check.
   * @throws TypeError when the server cannot be reached
   */
  ready(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = null;
    });
    return this.#checking;
  }

  async #check(): Promise<void> {
    const line = this.state.get();
    if (line.kind === 'direct') return;
    if (line.kind === 'tunnel' && (await tunnelExists(line.tunnel))) return;
    try {
      this.state.set({ kind: 'tunnel', tunnel: await openTunnel(), heldSince: null });
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
      this.state.set({ kind: 'direct', reason: `No tunnel: ${cause.message}` });
    }
  }

  /** Holds or releases the tunnel; without one it does nothing. @throws when the server did not do it. */
  async hold(held: boolean): Promise<void> {
    const line = this.state.get();
    if (line.kind !== 'tunnel') return;
    await holdTunnel(line.tunnel, held);
    this.state.set({ ...line, heldSince: held ? Date.now() : null });
  }

  /** Gives the tunnel back: there are only so many, and a page that is left needs none. */
  close(): void {
    const line = this.state.get();
    if (line.kind === 'tunnel') leaveTunnel(line.tunnel);
  }

  /** A WebSocket constructor whose sockets take this line, whatever host their URL names. */
  socketConstructor(): typeof WebSocket {
    const line = this;
    return class extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(line.#through(url), protocols);
      }
    };
  }

  #through(url: string | URL): URL {
    const through = new URL(url, location.href);
    const line = this.state.get();
    if (line.kind === 'tunnel') through.host = new URL(line.tunnel.url).host;
    return through;
  }
}
