import type { Page } from '../protocol/frames.js';
import { present } from './change.js';
import { isRoom, parsePosition, positions } from './grammar.js';
import type { Follower, Hub, Identity } from './hub.js';
import { isListed, type Log, pageSize } from './log.js';
import { Lane, type Weather } from './network.js';
import type { Frame } from './peer.js';
import { statusOf, type TestRefusal, wireFields } from './refusal.js';
import { Stream } from './stream.js';

/** A request that came. */
export interface TestRequest {
  /** `GET`, `POST` and so on. */
  readonly method: string;
  /** The path below the server's address, without the query. */
  readonly path: string;
  /** What stood behind the `?`. */
  readonly query: URLSearchParams;
  /** The token is in `authorization`. */
  readonly headers: Headers;
  /** As JSON; undefined where there was none. */
  readonly body: unknown;
}

type Fields = Record<string, unknown>;

const isRefusal = (v: object): v is TestRefusal => 'code' in v;

/** The HTTP side of the server (HTTP-1, POLL, SSE, SESS, ROOM-8 to ROOM-12). */
export class Http {
  readonly requests: TestRequest[] = [];
  readonly #hub: Hub;
  readonly #weather: Weather;
  readonly #streams = new Map<string, Stream>();
  #count = 0;

  constructor(hub: Hub, weather: Weather) {
    this.#hub = hub;
    this.#weather = weather;
  }

  /** The streams that are open. */
  get streams(): Iterable<Stream> {
    return this.#streams.values();
  }

  /** As the global `fetch`, for any address. */
  readonly fetch: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const text = await request.text();
    const asked: TestRequest = {
      method: request.method,
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
    return new Promise<Response>((resolve, reject) => this.#carry(asked, init?.signal, resolve, reject));
  };

  /** There and back, through whatever the network does meanwhile. */
  #carry(
    asked: TestRequest,
    signal: AbortSignal | null | undefined,
    resolve: (answer: Response) => void,
    reject: (error: unknown) => void,
  ): void {
    const weather = this.#weather;
    const over = new AbortController();
    const line = { cut: () => fail(new TypeError('The test network was cut.')) };
    const fail = (error: unknown) => {
      weather.lines.delete(line);
      over.abort();
      reject(error);
    };
    weather.lines.add(line);
    signal?.addEventListener('abort', () => fail(signal.reason));
    if (signal?.aborted) fail(signal.reason);
    else if (weather.isOffline) line.cut();
    const { signal: gone } = over;
    const there = new Lane();
    if (weather.isHole) return; // nobody is told
    there.carry(weather.delayMs(), async () => {
      if (gone.aborted || weather.isHole) return;
      this.requests.push(asked);
      if (asked.method === 'POST' && asked.path.endsWith('/events') && weather.loses()) line.cut();
      const answer = await this.#answer(asked, signal ?? undefined, gone);
      const { node } = this.#hub;
      if (node) answer.headers.set('roomlog-node', node);
      there.carry(weather.delayMs(), () => {
        if (gone.aborted || weather.isHole) return;
        weather.lines.delete(line);
        resolve(answer);
      });
    });
  }

  async #answer(asked: TestRequest, signal: AbortSignal | undefined, gone: AbortSignal): Promise<Response> {
    const { method, path } = asked;
    if (path === '/healthz') {
      const { node } = this.#hub;
      return Response.json({ status: 'ok', version: 'test', node, store: 'memory', durability: 'full' });
    }
    const [, stream] = /^\/v1\/connections\/([^/]+)$/.exec(path) ?? [];
    if (stream !== undefined) return this.#command(asked, stream);
    const who = this.#hub.identify(/^Bearer (.*)$/.exec(asked.headers.get('authorization') ?? '')?.[1] ?? '');
    if (isRefusal(who)) return problem(who);
    if (path === '/v1/rooms') return this.#list(asked, who);
    if (path === '/v1/sse') return this.#stream(asked, who, signal);
    const [, room = '', rest = ''] = /^\/v1\/rooms\/([^/]+)(?:\/(.+))?$/.exec(path) ?? [];
    if (room === '') return problem({ code: 'not_found' });
    const [what, user] = rest.split('/');
    if (what === 'bans' && user) return this.#ban(asked, who, room, user);
    const refusal = this.#hub.forbids(who, room, 'read');
    if (refusal) return problem(refusal);
    if (rest === '') return this.#room(method, room);
    if (rest === 'receipt' && method === 'PUT') return this.#mark(asked, who, room);
    if (rest === 'presence' && method === 'GET') return this.#presence(room);
    if (rest === 'state') return this.#state(asked, who, room);
    if (rest !== 'events') return problem({ code: 'not_found' });
    if (method === 'POST') return this.#send(asked, who, room);
    return method === 'GET' ? this.#read(asked, who, room, gone) : problem({ code: 'method_not_allowed' });
  }

  // ---- rooms ----

  #list({ query }: TestRequest, who: Identity): Response {
    const prefix = query.get('prefix') ?? '';
    if (!/^[A-Za-z0-9_.:@-]*$/.test(prefix)) return problem({ code: 'bad_request', field: 'prefix' });
    const limit = pageSize(Number(query.get('limit')));
    const after = query.get('after') ?? '';
    const all = this.#hub
      .rooms()
      .filter(({ room }) => room.startsWith(prefix) && room > after && !this.#hub.forbids(who, room, 'read'));
    const rooms = all.slice(0, limit).map(about);
    return Response.json({ rooms, ...(all.length > limit && { next: rooms.at(-1)?.room }) });
  }

  #room(method: string, room: string): Response {
    const log = this.#hub.log(room);
    if (method === 'GET') return Response.json(about(log));
    if (method === 'PUT') {
      const status = log.createdAt === undefined ? 201 : 200;
      log.createdAt ??= this.#hub.at();
      return Response.json(about(log), { status });
    }
    if (method !== 'DELETE') return problem({ code: 'method_not_allowed' });
    const deleted = this.#hub.remove(room);
    return Response.json({ ...about(this.#hub.log(room)), deleted });
  }

  #ban({ method, body }: TestRequest, who: Identity, room: string, user: string): Response {
    if (!isRoom(room)) return problem({ code: 'bad_room', field: 'room' });
    const { for: hours = '', reason } = (body ?? {}) as { for?: string; reason?: string };
    this.#hub.ban(room, user, method === 'PUT');
    if (method !== 'PUT') return new Response(null, { status: 204 });
    const at = this.#hub.at();
    const ms = Number.parseInt(hours, 10) * 3_600_000;
    const until = new Date(Date.parse(at) + ms || 0).toISOString().replace('Z', '000Z');
    return Response.json({ room, user, ...(ms && { until }), reason, by: who.user, at });
  }

  // ---- events ----

  #state({ method, query, headers, body }: TestRequest, who: Identity, room: string): Response {
    if (method === 'PATCH') {
      const match = headers.get('if-match');
      const [, digits] = /^"(\d+)"$/.exec(match ?? '') ?? [];
      if (match !== null && digits === undefined) return problem({ code: 'bad_request', field: 'If-Match' });
      const tag = headers.get('idempotency-key') ?? crypto.randomUUID();
      return this.#store(
        { tag, type: 'state', data: body, ...(digits && { if_seq: Number(digits) }) },
        who,
        room,
      );
    }
    if (method !== 'GET') return problem({ code: 'method_not_allowed' });
    const log = this.#hub.log(room);
    const since = query.get('since');
    const place = since === null ? undefined : parsePosition(since);
    if (since !== null && !place) return problem({ code: 'bad_position', field: 'since' });
    const goesOn = place && !log.refuses(place) && place.seq >= log.state.forgotten;
    const { epoch, head: seq } = log;
    const map = goesOn
      ? { state: log.state.between(place.seq, seq) }
      : { full: true, state: {}, ...log.state.whole() };
    return Response.json(
      { room, epoch, seq, position: log.position(seq), ...map },
      { headers: { etag: `"${seq}"` } },
    );
  }

  #send({ body }: TestRequest, who: Identity, room: string): Response {
    return this.#store(Object(body), who, room);
  }

  #store(
    { tag, type, data, if_seq: ifSeq }: { tag: string; type: string; data: unknown; if_seq?: number },
    who: Identity,
    room: string,
  ): Response {
    const forbidden = this.#hub.forbids(who, room, 'send');
    if (forbidden) return problem(forbidden);
    const outcome = this.#hub.send({ room, author: who.user, tag, type, data, ifSeq }, who);
    if ('refusal' in outcome) return problem(outcome.refusal);
    const { event, epoch, duplicate } = outcome;
    const { room: id, ...rest } = event;
    return Response.json(
      { room: id, epoch, ...rest, ...(duplicate && { duplicate }) },
      { status: duplicate ? 200 : 201 },
    );
  }

  async #read({ query }: TestRequest, who: Identity, room: string, gone: AbortSignal): Promise<Response> {
    const [anchor = 'after', field] = ['after', 'before', 'around'].filter(name => query.has(name));
    if (field) return problem({ code: 'bad_request', field });
    const at = query.get(anchor) ?? '0';
    const limit = query.get('limit');
    if (limit !== null && !/^[1-9]\d*$/.test(limit)) return problem({ code: 'bad_request', field: 'limit' });
    const size = pageSize(Number(limit));
    const give = (log: Log, page: Page) => {
      const { degraded } = this.#hub;
      return Response.json({ room, ...log.bounds, ...(degraded.length > 0 && { degraded }), ...page });
    };
    const log = this.#hub.log(room);
    if (anchor !== 'after') {
      if (!/^\d+$/.test(at)) return problem({ code: 'bad_request', field: anchor });
      const page = anchor === 'before' ? before(log, Number(at), size) : around(log, Number(at), size);
      return give(log, { ...page, events: page.events.map(event => present(log, event, who.user)) });
    }
    const place = parsePosition(at);
    if (!place) return problem({ code: 'bad_position', field: 'after' });
    const wait = Math.min(55, Number(query.get('wait'))) * 1_000;
    if (wait > 0 && log.refuses(place) === undefined && place.seq === log.head)
      await this.#growth(who, room, wait, gone);
    const refusal = this.#hub.forbids(who, room, 'read');
    if (refusal) return problem(refusal);
    const now = this.#hub.log(room);
    const reason = place.epoch === undefined && now !== log ? 'epoch' : now.refuses(place);
    if (reason) return problem({ code: 'reset', field: 'after' }, { reason, ...now.bounds }); // RESET-5
    return give(now, now.span(place.seq, place.seq + size));
  }

  /** Resolves when something about the room has changed, or the time is up (POLL-6). */
  #growth(who: Identity, room: string, ms: number, gone: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer);
        this.#hub.followers.delete(follower);
        resolve();
      };
      const follower: Follower = { who, look: changed => changed === room && done(), end: done };
      const timer = setTimeout(done, ms);
      gone.addEventListener('abort', done);
      this.#hub.followers.add(follower);
    });
  }

  // ---- beside the log ----

  #mark({ body }: TestRequest, { user }: Identity, room: string): Response {
    let marked: Frame | undefined;
    const say = (frame: Frame) => {
      marked = frame;
    };
    this.#hub.sides(room).take({ user, connection: '', say }, { ...Object(body), op: 'read', id: 0 });
    const { op: _, id: __, ...fields } = Object(marked);
    return Response.json(fields);
  }

  #presence(room: string): Response {
    let full: Frame | undefined;
    const say = (frame: Frame) => {
      full ??= frame;
    };
    const sides = this.#hub.sides(room);
    const peer = { user: '', connection: '', say };
    sides.join(peer, { with: ['presence'], present: false }, this.#hub.at());
    sides.leave(peer);
    const { users, connections, set: members } = Object(full);
    return Response.json({ room, users, connections, members });
  }

  // ---- streams ----

  #stream(
    { query, headers }: TestRequest,
    who: Identity,
    signal: AbortSignal | undefined,
  ): Promise<Response> | Response {
    const rooms = query.getAll('room');
    if (rooms.length === 0) return problem({ code: 'bad_request', field: 'room' });
    const given = positions(rooms, headers.get('last-event-id') ?? query.get('after') ?? '');
    for (const room of rooms) {
      const refusal = this.#hub.forbids(who, room, 'read');
      if (refusal) return problem(refusal);
      const at = given.get(room);
      if (at !== undefined && !parsePosition(at))
        return problem({ code: 'bad_position', field: 'Last-Event-ID' });
    }
    if (this.#weather.blocks('sse')) return new Promise(() => {});
    const id = `s${++this.#count}`;
    const stream = new Stream(id, this.#hub, this.#weather, who, () => this.#streams.delete(id));
    this.#streams.set(id, stream);
    return stream.open(rooms, given, signal, query);
  }

  #command({ body, headers }: TestRequest, id: string): Response {
    const stream = this.#streams.get(id);
    if (!stream || headers.get('authorization') !== `Bearer ${id}-secret`)
      return problem({ code: 'not_found' });
    const answer = stream.command(JSON.stringify(body));
    if (!answer) return new Response(null, { status: 204 });
    const { op, code, duplicate } = answer;
    const status =
      op === 'error' ? statusOf({ code: code as 'internal' }) : op === 'ack' && !duplicate ? 201 : 200;
    return Response.json(answer, { status });
  }
}

function problem(refusal: TestRefusal, more: object = {}): Response {
  const status = statusOf(refusal);
  const type = `/errors#${refusal.code}`;
  return Response.json(
    { type, status, ...wireFields(refusal), ...more, request_id: 'test' },
    { status, headers: { 'content-type': 'application/problem+json' } },
  );
}

/** A room as GET, PUT, DELETE and lists tell of it (ROOM-12). */
function about(log: Log): Fields & { room: string } {
  const { room, createdAt } = log;
  return { room, ...log.bounds, ...(createdAt && { created_at: createdAt }), retention: {} };
}

/** The newest events below a seq (POLL-5). */
function before(log: Log, seq: number, size: number): Page {
  return log.newest(size, Math.min(seq - 1, log.head));
}

/** The events on both sides of a seq (POLL-5), but those that set state (STATE-12). */
function around(log: Log, seq: number, size: number): Page {
  const listed = log.events.filter(isListed);
  const low = listed.filter(event => event.seq < seq).length;
  const rest = size - Math.min(low, Math.floor(size / 2));
  const high = listed.slice(low);
  return log.newest(size, high.length > rest ? high[rest - 1]?.seq : log.head);
}
