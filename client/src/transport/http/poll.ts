import type { Page } from '../../protocol/frames.js';
import { isPage } from '../../protocol/parse.js';
import type { Transport } from '../transport.js';
import { type Fetch, problem } from './exchange.js';
import { type Feed, type FeedHost, HttpLink, isThere } from './link.js';

/** How long a request waits for an event, in seconds (POLL-6): below what proxies commonly cut. */
const WAIT_S = 25;
/** So many rooms wait at a time: over HTTP/1.1 a browser has six connections to a server, and sends need one. */
const MAX_WAITING = 3;
/** How often more rooms than that are asked for, in milliseconds. */
const ROUND_MS = 2_000;

/** Long polling as a transport. `api` is the API's root. */
export function pollTransport(api: string, fetch: Fetch): Transport {
  return { dial: events => new HttpLink(api, fetch, events, WAIT_S * 1_000, host => new PollFeed(host)) };
}

/** Asks for each room behind its position: up to three wait each by itself, more are asked for in turn. */
class PollFeed implements Feed {
  readonly #host: FeedHost;
  #abort = new AbortController();

  constructor(host: FeedHost) {
    this.#host = host;
  }

  changed(): void {
    this.stop();
    this.#abort = new AbortController();
    const rooms = [...this.#host.rooms.keys()];
    if (rooms.length > MAX_WAITING) void this.#loop(rooms, false);
    else for (const room of rooms) void this.#loop([room], true);
  }

  stop(): void {
    this.#abort.abort();
  }

  probe(): Promise<boolean> {
    return isThere(this.#host);
  }

  async #loop(rooms: string[], waits: boolean): Promise<void> {
    const { signal } = this.#abort;
    const lane = { wait: waits ? WAIT_S : 0, failed: false };
    const followed = () => rooms.filter(room => this.#host.rooms.has(room));
    while (!signal.aborted && followed().length > 0) {
      for (const room of followed()) {
        const pauseMs = await this.#poll(room, lane, signal);
        if (pauseMs > 0) await sleep(pauseMs, signal);
        if (signal.aborted) return;
      }
      if (!waits) await sleep(ROUND_MS, signal);
    }
  }

  /** One request. Gives how long to wait before the next, in milliseconds. */
  async #poll(room: string, lane: Lane, signal: AbortSignal): Promise<number> {
    const { rooms } = this.#host;
    const after = encodeURIComponent(rooms.get(room) ?? '');
    const path = `/v1/rooms/${encodeURIComponent(room)}/events?after=${after}&limit=500`;
    const startedAt = performance.now();
    const answer = await this.#host
      .ask(lane.wait > 0 ? `${path}&wait=${lane.wait}` : path, { signal })
      .catch(() => undefined);
    if (signal.aborted) return 0;
    if (!answer) {
      this.#cut(lane, performance.now() - startedAt);
      return 0;
    }
    lane.failed = false;
    // What is not a page is not the server's answer: asking again at once would be a storm.
    if (answer.ok && isPage(answer.body)) {
      const { epoch, prev, seq, position, events } = answer.body as Page & { epoch?: unknown };
      rooms.set(room, position);
      if (seq === prev) this.#host.say({ op: 'ping' });
      else this.#host.say({ op: 'page', room, epoch, prev, seq, position, events });
      return 0;
    }
    const refusal = problem(answer, 'unavailable');
    if (refusal.code === 'reset') {
      rooms.delete(room);
      this.#host.say({ ...refusal, op: 'reset', room }); // RESET-5
      return 0;
    }
    if (!this.#host.ends(refusal) && !refusal.retryable) {
      rooms.delete(room);
      this.#host.say({ ...refusal, room });
    }
    return Math.max(1_000, Number(refusal.retry_after_ms ?? 0));
  }

  /** Something in between may cut what waits: then shorter waits pass. A second failure in a row ends the link. */
  #cut(lane: Lane, afterMs: number): void {
    if (lane.wait === 0 || lane.failed) this.#host.close(1006, '');
    lane.failed = true;
    lane.wait = Math.max(1, Math.min(lane.wait, Math.floor(afterMs / 1_000)) - 1);
  }
}

/** The requests of one loop: how long they wait, in seconds, and whether the last one was cut. */
interface Lane {
  wait: number;
  failed: boolean;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
