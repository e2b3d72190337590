import { parsePosition } from './grammar.js';
import type { Hub, Identity } from './hub.js';
import { pageSize } from './log.js';
import { Lane, type Weather } from './network.js';
import { type Frame, Peer, type PeerHost } from './peer.js';

type Fields = Record<string, unknown>;

/** What is given without an id (SIDE-2, RCPT-4). */
const ASIDE = ['presence', 'signals', 'receipts', 'marked'];

/** One stream: a peer whose pages are events, and which goes on after a reset by itself (SSE-7). */
export class Stream implements PeerHost {
  readonly peer: Peer;
  readonly #id: string;
  readonly #hub: Hub;
  readonly #weather: Weather;
  readonly #ended: () => void;
  readonly #lane = new Lane();
  readonly #at = new Map<string, string>();
  #bytes: ReadableStreamDefaultController<Uint8Array> | undefined;
  #comments: ReturnType<typeof setInterval> | undefined;
  #answer: Frame | undefined;
  #isOver = false;

  constructor(id: string, hub: Hub, weather: Weather, who: Identity, ended: () => void) {
    this.#id = id;
    this.#hub = hub;
    this.#weather = weather;
    this.#ended = ended;
    this.peer = new Peer(hub, this);
    this.peer.who = who;
    this.peer.name = id;
  }

  open(
    rooms: string[],
    given: Map<string, string>,
    signal: AbortSignal | undefined,
    query: URLSearchParams,
  ): Response {
    const body = new ReadableStream<Uint8Array>({
      start: bytes => {
        this.#bytes = bytes;
      },
      cancel: () => this.cut(),
    });
    signal?.addEventListener('abort', () => this.cut());
    this.#weather.lines.add(this);
    this.#comments = setInterval(() => this.#write(': \n\n'), 15_000); // SSE-9
    for (const room of rooms)
      this.#at.set(room, given.get(room) ?? this.#hub.log(room).position(this.#hub.log(room).head));
    this.#event('ready', { connection: this.#id, secret: `${this.#id}-secret`, node: this.#hub.node });
    if (this.#hub.degraded.length > 0) this.peer.inform();
    for (const room of rooms) this.#begin(room);
    const wanted = query.get('with')?.split(',');
    const present = query.get('present') ?? String(wanted?.includes('presence'));
    for (const room of wanted ? rooms : []) {
      const is = present === 'true' || present.split(',').includes(room); // PRES-15
      this.#hub.sides(room).join(this.peer, { with: wanted, present: is }, this.#hub.at());
    }
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  }

  #begin(room: string): void {
    const place = parsePosition(this.#at.get(room) as string);
    const log = this.#hub.log(room);
    const reason = place && log.refuses(place);
    if (!place || reason) this.peer.reset(room, reason ?? 'epoch');
    else this.peer.follow(room, place.seq);
  }

  /** A command to the stream (SESS-1); gives the answer, where there is one. */
  command(text: string): Frame | undefined {
    this.#answer = undefined;
    this.peer.take(text);
    return this.#answer;
  }

  say(frame: Frame): void {
    const { op, ...data } = frame;
    const room = String(frame.room);
    if (op === 'page') {
      this.#at.set(room, String(frame.position));
      this.#event(op, data);
    } else if (op === 'reset') {
      const log = this.#hub.log(room);
      const { prev } = log.latest(pageSize());
      this.#at.set(room, log.position(prev));
      this.#event(op, data);
      this.peer.follow(room, prev);
    } else if (op === 'degraded' || (ASIDE.includes(op) && frame.id === undefined)) {
      this.#write(`event: ${op}\ndata: ${JSON.stringify(data)}\n\n`);
    } else if (op === 'error' && frame.id === undefined && this.#at.has(room)) {
      this.close(); // ACC-4: with the first of its rooms
    } else this.#answer = frame;
  }

  /** Ends it; a server that stops says when to come back (SSE-10). */
  close(_code?: number, reason = ''): void {
    const [, wait] = / (\d+)$/.exec(reason) ?? [];
    if (wait !== undefined) this.#write(`retry: ${wait}\n\n`);
    this.#lane.carry(this.#weather.delayMs(), () => {
      if (this.#bytes && !this.#isOver) this.#bytes.close();
      this.#over();
    });
    this.peer.gone();
  }

  taking(): void {}

  cut(): void {
    if (this.#isOver) return;
    this.#over();
    this.#bytes?.error(new TypeError('The test network was cut.'));
  }

  #over(): void {
    this.#isOver = true;
    clearInterval(this.#comments);
    this.peer.gone();
    this.#weather.lines.delete(this);
    this.#ended();
  }

  #event(name: string, data: Fields): void {
    const ids = [...this.#at].map(([room, at]) => (this.#at.size === 1 ? at : `${room}=${at}`));
    this.#write(`event: ${name}\nid: ${ids.join(',')}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  #write(text: string): void {
    if (this.#weather.isHole) return;
    this.#lane.carry(this.#weather.delayMs(), () => {
      if (!this.#isOver && !this.#weather.isHole) this.#bytes?.enqueue(new TextEncoder().encode(text));
    });
  }
}
