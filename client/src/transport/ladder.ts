import { isPage } from '../protocol/check.js';
import { addresses } from './address.js';
import type { Fallback } from './fallback.js';
import type { HttpNeeds } from './http/link.js';
import type { transport } from './http/poll.js';
import { later } from './later.js';
import { socketTransport, type WebSocketConstructor } from './socket.js';
import type { Link, LinkEvents, Transport } from './transport.js';

/** How a server can be reached: what pushes both ways, what pushes one way, what asks again and again. */
export type TransportName = 'websocket' | 'sse' | 'poll';

/** How long the first transport may stay mute until it is asked whether plain HTTP would do. */
const IMPATIENT_MS = 4_000;
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
  /** How the server is asked whether it answers plain HTTP. */
  http: Pick<HttpNeeds, 'api' | 'fetch'>;
  log(event: string, data: Record<string, unknown>): void;
}

/**
 * Several transports as one. It begins with the first and goes down where something in between, not the network as a
 * whole, is in the way: the first does not get through though plain HTTP does, or links are cut short again and again.
 * From below it tries the first again after 30 s, then ever more rarely, and gives it up again when it is cut short
 * once. Rooms notice nothing but a reconnect: they go on from their positions. A close that the server itself gave is no
 * verdict on the transport. What decides is loaded when there is something to decide.
 */
export class Ladder implements Transport {
  readonly needs: LadderNeeds;
  /** The rung of the next dial. */
  at = 0;
  /** Counts dials, so that an answer that comes late moves nothing. */
  dials = 0;
  /** Whether the link there is got through. */
  isThrough = false;
  /** The transport of the last dial. */
  name: TransportName | undefined;

  #fallback: Fallback | undefined;
  readonly #load = later(async () => {
    const { Fallback } = await import('./fallback.js');
    this.#fallback = new Fallback(this);
    return this.#fallback;
  });

  constructor(needs: LadderNeeds) {
    this.needs = needs;
  }

  dial(events: LinkEvents): Link {
    const mine = ++this.dials;
    const { at } = this;
    const { name, transport } = this.needs.rungs[at] as Rung;
    this.name = name;
    this.isThrough = false;
    const startedAt = now();
    let heardAt: number | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let trial = () => {};
    let over = false;
    const end = (code: number, reason: string) => {
      if (over) return;
      over = true;
      this.isThrough = false;
      clearTimeout(timer);
      trial();
      const held = heardAt === undefined ? undefined : now() - heardAt;
      if (this.#fallback) this.#fallback.ended(at, code === CUT, reason, held);
      else if (code === CUT) this.#decide(fallback => fallback.ended(at, true, reason, held));
    };
    const closed = (code: number, reason: string) => {
      end(code, reason);
      events.closed(code, reason);
    };
    const cut = (code: number) => {
      link.drop();
      closed(code, '');
    };
    if (at === 0) {
      const isStill = () => mine === this.dials && heardAt === undefined && !over;
      timer = setTimeout(() => this.#decide(fallback => fallback.mute(isStill, cut, CUT)), IMPATIENT_MS);
    }
    const heard = () => {
      clearTimeout(timer);
      heardAt = now();
      this.isThrough = true;
      if (this.#fallback) trial = this.#fallback.heard(at, cut);
    };
    const link = transport.dial({
      open: events.open,
      message: text => {
        if (heardAt === undefined) heard();
        events.message(text);
      },
      closed,
    });
    return {
      send: text => link.send(text),
      drop: code => {
        end(heardAt === undefined && now() - startedAt >= IMPATIENT_MS ? CUT : 1000, '');
        link.drop(code);
      },
    };
  }

  /** Where that code cannot be loaded plain HTTP does not get through either, so there is nothing to decide. */
  #decide(what: (fallback: Fallback) => void): void {
    if (this.needs.rungs.length > 1) void this.#load(what);
  }
}

/** A transport whose code is loaded when it is first dialled; where that fails, so does the dial. */
function lazily(needs: HttpNeeds, load: () => Promise<{ transport: typeof transport }>): Transport {
  return {
    dial(events) {
      let link: Link | undefined;
      let dropped = false;
      load()
        .then(code => code.transport(needs))
        .then(
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
  /** All unless given. */
  names: readonly TransportName[] | undefined;
  /** Throws where there is none. */
  WebSocket: () => WebSocketConstructor;
  fetch: typeof fetch;
  log: LadderNeeds['log'];
}

/** The transports to one server. The fallbacks are chunks of their own, loaded when they are needed. */
export function ladder({ url, names, WebSocket, fetch, log }: LadderOptions): Ladder {
  const { api, socket } = addresses(url);
  const http = { api, fetch, isPage };
  // The best first.
  const make: Record<TransportName, () => Transport> = {
    websocket: () => socketTransport(socket, WebSocket()),
    sse: () => lazily(http, () => import('./http/stream.js')),
    poll: () => lazily(http, () => import('./http/poll.js')),
  };
  return new Ladder({
    rungs: (names ?? (Object.keys(make) as TransportName[])).map(name => ({ name, transport: make[name]() })),
    http,
    log,
  });
}
