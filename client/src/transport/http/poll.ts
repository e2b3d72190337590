import type { Transport } from '../transport.js';
import { isThere, sleep } from './exchange.js';
import { type Feed, type FeedHost, HttpLink, type HttpNeeds } from './link.js';
import type { SourceHost } from './shared.js';

/** How long a request waits for an event, in seconds (POLL-6): below what proxies commonly cut. */
const WAIT_S = 25;
/** So many rooms wait at a time: over HTTP/1.1 a browser has six connections to a server, and sends need one. */
const MAX_WAITING = 3;
/** How often more rooms than that are asked for, in milliseconds. */
const ROUND_MS = 2_000;

/** Long polling as a transport. */
export async function transport(needs: HttpNeeds): Promise<Transport> {
  const { sharedFeed } = await import('./shared.js');
  const pingMs = WAIT_S * 1_000;
  const feed = (host: FeedHost) => sharedFeed(host, 'poll', pingMs, inner => new PollFeed(inner));
  return { dial: events => new HttpLink(needs, events, pingMs, feed) };
}

/** Asks for each room behind its position: up to three wait each by itself, more are asked for in turn. */
class PollFeed implements Feed {
  readonly #host: SourceHost;
  #abort = new AbortController();

  constructor(host: SourceHost) {
    this.#host = host;
  }

  changed(): void {
    this.stop();
    this.#abort = new AbortController();
    const rooms = [...this.#host.rooms.keys()];
    if (rooms.length > MAX_WAITING) void this.#loop(rooms, false);
    else for (const room of rooms) void this.#loop([room], true);
    const { signal } = this.#abort;
    // Of signals, and of others' marks, nothing is known here, and nobody is seen.
    if (this.#host.sides.length > 0)
      import('./asides.js').then(({ askAround }) => askAround(this.#host, signal)).catch(() => {});
  }

  stop(): void {
    this.#abort.abort();
  }

  probe(): Promise<boolean> {
    return isThere(this.#host.api, this.#host.fetch, this.#host.over);
  }

  async #loop(rooms: string[], waits: boolean): Promise<void> {
    const { signal } = this.#abort;
    const lane = { wait: waits ? WAIT_S : 0, cuts: 0 };
    const followed = () => rooms.filter(room => this.#host.rooms.has(room));
    while (!signal.aborted && followed().length > 0) {
      for (const room of followed()) {
        const startedAt = performance.now();
        const read = await this.#host.read(room, signal, lane.wait);
        if (signal.aborted) return;
        if (!read) this.#cut(lane, performance.now() - startedAt);
        else lane.cuts = 0;
        if (read?.by) this.#host.say({ op: 'degraded', ...read.by });
        if (read?.pauseMs) await sleep(read.pauseMs, signal);
      }
      if (!waits) await sleep(ROUND_MS, signal);
    }
  }

  /**
   * Something in between may cut what waits. Once may be the age of the connection, and the same again passes; twice
   * is the length of the wait, and shorter ones pass. A third time in a row ends the link.
   */
  #cut(lane: Lane, afterMs: number): void {
    lane.cuts++;
    if (lane.wait === 0 || lane.cuts > 2) this.#host.close(1006, '');
    else if (lane.cuts > 1) lane.wait = Math.max(1, Math.min(lane.wait, Math.floor(afterMs / 1_000)) - 1);
  }
}

/** The requests of one loop: how long they wait, in seconds, and how many in a row were cut. */
interface Lane {
  wait: number;
  cuts: number;
}
