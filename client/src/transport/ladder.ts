import { addresses } from './address.js';
import { socketTransport, type WebSocketConstructor } from './socket.js';
import type { Link, LinkEvents, Transport } from './transport.js';

/** How a server can be reached: what pushes both ways, what pushes one way, what asks again and again. */
export type TransportName = 'websocket' | 'sse' | 'poll';

/** How long the first transport may stay mute until it is asked whether plain HTTP would do. */
const IMPATIENT_MS = 4_000;
/** A link that is cut before it held this long counts as cut short. */
const HELD_MS = 60_000;
/** So many links cut short in a row are the doing of something in between. */
const MAX_CUTS = 3;
/** After how long on a fallback the first transport is tried again; the wait doubles. */
const AGAIN_MS = 30_000;
const MAX_AGAIN_MS = 600_000;
/** How long that trial, and the question whether plain HTTP works, may take. */
const TRIAL_MS = 5_000;
/** The close code of a link that was cut without a word (RFC 6455, 7.1.5). */
const CUT = 1006;

// Monotonic, as in liveness.ts.
const now = () => performance.now();

/** One transport of a ladder. */
export interface Rung {
  readonly name: TransportName;
  readonly transport: Transport;
}

/** What a ladder needs. */
export interface LadderNeeds {
  /** The transports, the best first. */
  rungs: readonly Rung[];
  /** Whether the server answers a plain HTTP request. It never rejects. */
  reachable(signal: AbortSignal): Promise<boolean>;
  log(event: string, data: Record<string, unknown>): void;
}

/**
 * Several transports as one. It begins with the first and goes down where something in between, not the network as a
 * whole, is in the way: the first does not get through though plain HTTP does, or links are cut short again and again.
 * From below it tries the first again after 30 s, then ever more rarely, and gives it up again when it is cut short
 * once. Rooms notice nothing but a reconnect: they go on from their positions. A close that the server itself gave is no
 * verdict on the transport.
 */
export class Ladder implements Transport {
  readonly #needs: LadderNeeds;
  #at = 0;
  #cuts = 0;
  /** How often in a row the first did not get through though plain HTTP did: once may be a server that just came back. */
  #blocked = 0;
  /** How often in a row the first transport was given up or tried again in vain, and when it is tried next. */
  #again = 0;
  #againAt = 0;
  /** Counts dials, so that an answer that comes late moves nothing. */
  #dials = 0;
  /** Whether the link there is got through. */
  #through = false;
  #name: TransportName;

  constructor(needs: LadderNeeds) {
    this.#needs = needs;
    this.#name = this.#rung(0).name;
  }

  /** The transport of the last dial. */
  get name(): TransportName {
    return this.#name;
  }

  dial(events: LinkEvents): Link {
    this.#dials++;
    const at = this.#at;
    this.#name = this.#rung(at).name;
    this.#through = false;
    const startedAt = now();
    let heardAt: number | undefined;
    let link: Link | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let trial = () => {};
    let over = false;
    const end = (code: number, reason: string) => {
      if (over) return;
      over = true;
      this.#through = false;
      clearTimeout(timer);
      trial();
      this.#ended(at, code, reason, heardAt === undefined ? undefined : now() - heardAt);
    };
    const closed = (code: number, reason: string) => {
      end(code, reason);
      events.closed(code, reason);
    };
    const cut = (code: number) => {
      link?.drop();
      closed(code, '');
    };
    if (at === 0 && this.#needs.rungs.length > 1) {
      const mine = this.#dials;
      timer = setTimeout(async () => {
        if ((await this.#reachable()) && mine === this.#dials && heardAt === undefined && !over) {
          this.#blocked++; // HTTP was answered while the dial was not
          cut(CUT);
        }
      }, IMPATIENT_MS);
    }
    const heard = () => {
      clearTimeout(timer);
      heardAt = now();
      this.#through = true;
      this.#blocked = 0;
      if (at > 0) {
        trial = this.#tryAgain(() => {
          this.#move(0, 'open again');
          cut(1000);
        });
      }
    };
    link = this.#rung(at).transport.dial({
      open: events.open,
      message: text => {
        if (heardAt === undefined) heard();
        events.message(text);
      },
      closed,
    });
    const made = link;
    return {
      send: text => made.send(text),
      drop: code => {
        end(heardAt === undefined && now() - startedAt >= IMPATIENT_MS ? CUT : 1000, '');
        made.drop(code);
      },
    };
  }

  #rung(at: number): Rung {
    return this.#needs.rungs[at] as Rung;
  }

  /** What the end of a link says about its transport; `held` is undefined where nothing ever came over it. */
  #ended(at: number, code: number, reason: string, held: number | undefined): void {
    const { length } = this.#needs.rungs;
    if (length === 1 || at !== this.#at) return;
    if (held !== undefined && held >= HELD_MS) {
      this.#cuts = 0;
      if (at === 0) this.#again = 0;
    } else if (code !== CUT) return;
    else if (held === undefined && at === 0) void this.#downIfReachable();
    else if (held === undefined) this.#move((at + 1) % length, 'no answer');
    else if (
      at + 1 < length &&
      (reason !== '' || ++this.#cuts >= (at === 0 && this.#again > 0 ? 1 : MAX_CUTS))
    ) {
      this.#move(at + 1, reason || 'cut short');
    }
  }

  async #downIfReachable(): Promise<void> {
    const mine = this.#dials;
    const reachable = await this.#reachable();
    // A later dial may have got through: it has the last word.
    if (!reachable || this.#at > 0 || this.#through || this.#dials - mine > 1) return;
    if (++this.#blocked > 1) this.#move(1, 'blocked');
  }

  #move(to: number, why: string): void {
    this.#needs.log('transport', { from: this.#rung(this.#at).name, to: this.#rung(to).name, why });
    if (this.#at === 0) this.#tryLater();
    this.#at = to;
    this.#cuts = 0;
  }

  #tryLater(): void {
    this.#againAt = now() + Math.min(MAX_AGAIN_MS, AGAIN_MS * 2 ** this.#again++);
  }

  #reachable(): Promise<boolean> {
    return this.#needs.reachable(AbortSignal.timeout(TRIAL_MS));
  }

  /** Opens the first transport beside the link from time to time. Returns what ends that. */
  #tryAgain(open: () => void): () => void {
    let probe: Link | undefined;
    let timer: ReturnType<typeof setTimeout>;
    const wait = () => {
      timer = setTimeout(
        () => {
          timer = setTimeout(failed, TRIAL_MS);
          try {
            probe = this.#rung(0).transport.dial({ open: opened, message: () => {}, closed: failed });
          } catch {
            failed();
          }
        },
        Math.max(0, this.#againAt - now()),
      );
    };
    const stop = () => {
      clearTimeout(timer);
      probe?.drop();
      probe = undefined;
    };
    const failed = () => {
      stop();
      this.#tryLater();
      wait();
    };
    const opened = () => {
      stop();
      open();
    };
    wait();
    return stop;
  }
}

/** A transport whose code is loaded when it is first dialled; where that fails, so does the dial. */
function lazily(load: () => Promise<Transport>): Transport {
  return {
    dial(events) {
      let link: Link | undefined;
      let dropped = false;
      load().then(
        transport => {
          if (!dropped) link = transport.dial(events);
        },
        () => dropped || events.closed(CUT, ''),
      );
      return {
        send: text => link?.send(text),
        drop: code => {
          dropped = true;
          link?.drop(code);
        },
      };
    },
  };
}

/** What the ladder of a client is made of. */
export interface LadderOptions {
  url: string | URL;
  names: readonly TransportName[];
  /** Throws where there is none. */
  WebSocket: () => WebSocketConstructor;
  fetch: typeof fetch;
  log: LadderNeeds['log'];
}

/** The transports to one server. The fallbacks are chunks of their own, loaded when they are needed. */
export function ladder({ url, names, WebSocket, fetch, log }: LadderOptions): Ladder {
  const { api, socket } = addresses(url);
  const make: Record<TransportName, () => Transport> = {
    websocket: () => socketTransport(socket, WebSocket()),
    sse: () => lazily(async () => (await import('./http/stream.js')).streamTransport(api, fetch)),
    poll: () => lazily(async () => (await import('./http/poll.js')).pollTransport(api, fetch)),
  };
  return new Ladder({
    rungs: names.map(name => ({ name, transport: make[name]() })),
    reachable: signal =>
      fetch(`${api}/healthz`, { signal, cache: 'no-store' }).then(
        answer => answer.ok,
        () => false,
      ),
    log,
  });
}
