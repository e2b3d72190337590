import type { TestEvent } from '../../src/testing/index.js';
import type { Verdict } from './server.js';

/** The log behind a FakeHttp: all its rooms have this one. */
export class FakeLog {
  epoch = 'e1';
  readonly log: TestEvent[] = [];
  /** Told of every stored event and restore. */
  readonly watchers = new Set<() => void>();

  get head(): number {
    return this.log.length;
  }

  /** Stores an event, or finds it by its tag. */
  append(author: string, tag: string, data: unknown): { seq: number; duplicate: boolean } {
    const before = this.log.find(e => e.author === author && e.tag === tag);
    if (before) return { seq: before.seq, duplicate: true };
    const seq = this.head + 1;
    const at = '2026-11-23T10:00:00.123456Z';
    this.log.push({ room: 'chat:a', seq, type: 'message', author, tag, at, data });
    for (const watcher of this.watchers) watcher();
    return { seq, duplicate: false };
  }

  /** The store is restored from a backup that lacks the newest events: another numbering. */
  restore(lost: number): void {
    this.log.splice(Math.max(0, this.head - lost));
    this.epoch = `e${Number(this.epoch.slice(1)) + 1}`;
    for (const watcher of this.watchers) watcher();
  }
}

/** A token of this user, as a JWT looks; nobody checks it. */
export const tokenOf = (sub: string, fields: object = {}) =>
  `x.${btoa(JSON.stringify({ sub, ...fields }))}.x`;
export const TOKEN = tokenOf('u1');

/** What a request was, for the test to look at. */
export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Record<string, string>;
  body: { tag?: string; op?: string; data?: unknown } | undefined;
}

const sleep = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms));

/**
 * One tab's way to a server over plain HTTP (POLL, SSE, SESS, HTTP-1), with what stands between: each tab has its own weather, can be
 * frozen, and shares one log with the others.
 */
export class FakeHttp {
  readonly asked: Asked[] = [];
  /** No network: no request is answered. */
  down = false;
  /** Streams are held back: headers and bytes do not come through. */
  buffers = false;
  /** The tab is frozen: requests hang, and what streams say waits. */
  frozen = false;
  /** Rooms that may not be read. */
  readonly refused = new Set<string>();
  /** Answers take so long. */
  latencyMs = () => 5;
  /** What the next sends are answered, as a WebSocket's would be. */
  readonly verdicts: (Verdict | 'forbidden' | 'lost')[] = [];
  /** Answers every request, where it is set, instead of the server. */
  refusal: { status: number; code: string; retryable: boolean } | undefined;
  readonly streams = new Set<{ cut(): void; end(last: string): void; mute(): void }>();
  readonly #server: FakeLog;

  constructor(server: FakeLog) {
    this.#server = server;
  }

  /** Nothing more comes of the streams there are, though they stay open. */
  mute(): void {
    for (const stream of this.streams) stream.mute();
  }

  paths(): string[] {
    return this.asked.map(({ method, path }) => `${method} ${path}`);
  }

  readonly fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(String(input));
    const asked: Asked = {
      method: init.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: (init.headers ?? {}) as Record<string, string>,
      body: init.body ? JSON.parse(String(init.body)) : undefined,
    };
    this.asked.push(asked);
    const gone = new Promise<never>((_, reject) => {
      const fail = () => reject(new TypeError('aborted'));
      if (init.signal?.aborted) fail();
      init.signal?.addEventListener('abort', fail);
    });
    gone.catch(() => {});
    await Promise.race([gone, sleep(this.latencyMs())]);
    if (this.down) throw new TypeError('no network');
    if (this.frozen) return gone;
    return Promise.race([gone, this.#answer(asked, init.signal ?? undefined)]);
  };

  async #answer(asked: Asked, signal: AbortSignal | undefined): Promise<Response> {
    const { method, path } = asked;
    if (path === '/healthz') return Response.json({ status: 'ok' });
    if (this.refusal) return this.#problem(this.refusal.status, this.refusal);
    if (path === '/v1/rooms') return Response.json({ rooms: [] });
    const rooms = [...asked.query.getAll('room'), decodeURIComponent(path.split('/')[3] ?? '')];
    if (rooms.some(room => this.refused.has(room))) return this.#problem(404, { code: 'unknown_room' });
    if (path === '/v1/sse') return this.#stream(asked, signal);
    if (path === '/v1/connections/c1') return Response.json({ op: 'pong' });
    if (method === 'POST') return this.#send(asked);
    if (path.endsWith('/state')) return this.#problem(404, { code: 'not_found' });
    return this.#page(asked);
  }

  #problem(status: number, fields: object): Response {
    return Response.json({ title: 'No.', retryable: false, ...fields }, { status });
  }

  #send({ body }: Asked): Response {
    const verdict = this.verdicts.shift();
    const tag = String(body?.tag);
    if (verdict === 'unknown-stored' || verdict === 'lost') this.#server.append('u1', tag, body?.data);
    if (verdict === 'lost') throw new TypeError('the answer was lost');
    if (verdict === 'forbidden') return this.#problem(403, { code: 'forbidden' });
    if (verdict === 'rate_limited') {
      return this.#problem(429, { code: 'rate_limited', retryable: true, retry_after_ms: 20 });
    }
    if (verdict) return this.#problem(503, { code: 'outcome_unknown', retryable: true });
    const { seq, duplicate } = this.#server.append('u1', tag, body?.data);
    const at = '2026-11-23T10:00:00.123456Z';
    const event = { room: 'chat:a', epoch: this.#server.epoch, seq, tag, at };
    return Response.json({ ...event, ...(duplicate && { duplicate }) }, { status: duplicate ? 200 : 201 });
  }

  #span(prev: number, seq: number, room = 'chat:a') {
    const { epoch, log, head } = this.#server;
    const events = log.slice(prev, seq);
    return { room, epoch, floor: 1, head, prev, seq, position: `${epoch}:${seq}`, events };
  }

  async #page({ query }: Asked): Promise<Response> {
    const limit = Number(query.get('limit') ?? 100);
    if (query.has('before')) {
      const seq = Math.min(this.#server.head, Number(query.get('before')) - 1);
      return Response.json(this.#span(Math.max(0, seq - limit), seq));
    }
    if (query.has('around')) {
      const prev = Math.max(0, Number(query.get('around')) - 1 - Math.floor(limit / 2));
      return Response.json(this.#span(prev, Math.min(this.#server.head, prev + limit)));
    }
    let seq = this.#read(query.get('after') ?? '0');
    for (let waited = 0; waited < Number(query.get('wait') ?? 0) * 1_000; waited += 100) {
      if (seq === undefined || seq < this.#server.head) break;
      await sleep(100);
      seq = this.#read(query.get('after') ?? '0');
    }
    const { epoch, head } = this.#server;
    if (seq === undefined) {
      return this.#problem(410, { code: 'reset', reason: 'epoch', epoch, floor: 1, head });
    }
    return Response.json(this.#span(seq, Math.min(head, seq + limit)));
  }

  /** The seq of a position that can be continued. */
  #read(position: string): number | undefined {
    const [epoch, seq] = position.includes(':') ? position.split(':') : [this.#server.epoch, position]; // POS-1
    return epoch === this.#server.epoch && Number(seq) <= this.#server.head ? Number(seq) : undefined;
  }

  /** All rooms have the server's one log. */
  #stream({ headers, query }: Asked, signal: AbortSignal | undefined): Promise<Response> | Response {
    if (this.buffers) return new Promise(() => {});
    const id = headers['last-event-id'] ?? '';
    const parts = new Map(id.split(',').map(part => part.split('=') as [string, string]));
    const at = new Map(
      query.getAll('room').map(room => [room, this.#read((id.includes('=') ? parts.get(room) : id) ?? '')]),
    );
    const server = this.#server;
    let beat: ReturnType<typeof setInterval> | undefined;
    const streams = this.streams;
    const bytes = new ReadableStream<Uint8Array>({
      start: controller => {
        const say = (text: string) => controller.enqueue(new TextEncoder().encode(text));
        const event = (name: string, data: object) =>
          say(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
        const follow = (room: string, seq: number | undefined) => {
          if (seq === undefined || (seq > 0 && !server.log[seq - 1])) {
            const { epoch, head } = server;
            event('reset', { room, reason: 'epoch', epoch, floor: 1, head });
          } else if (seq < server.head) event('page', this.#span(seq, server.head, room));
          at.set(room, server.head);
        };
        const grown = () => {
          if (!this.frozen) for (const [room, seq] of at) follow(room, seq);
        };
        const over = () => {
          clearInterval(beat);
          server.watchers.delete(grown);
          streams.delete(handle);
        };
        const handle = {
          mute: () => {
            clearInterval(beat);
            server.watchers.delete(grown);
          },
          cut: () => {
            over();
            controller.error(new TypeError('cut'));
          },
          end: (last: string) => {
            say(last);
            over();
            controller.close();
          },
        };
        streams.add(handle);
        signal?.addEventListener('abort', () => streams.has(handle) && handle.cut());
        server.watchers.add(grown);
        say('retry: 1000\n\n'); // for the browser's own EventSource
        event('ready', { connection: 'c1', secret: 's1' });
        beat = setInterval(() => {
          grown();
          if (!this.frozen) say(': \n\n');
        }, 15_000);
        grown();
      },
    });
    return new Response(bytes);
  }
}
