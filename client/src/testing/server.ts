import {
  type Client,
  type ClientOptions,
  createClient,
  newTag,
  type WebSocketConstructor,
} from '../index.js';
import type { WireEvent } from '../protocol/frames.js';
import { isRoom, unfit } from './grammar.js';
import { Http, type TestRequest } from './http.js';
import { Hub, type TestGrant, type TestSend, type TestVerdict } from './hub.js';
import { socketClass, TestNetwork } from './network.js';
import { Peer } from './peer.js';
import type { TestRefusal } from './refusal.js';
import { TestState } from './state.js';

/** How a server is made. */
export interface TestServerOptions {
  /** What the time is, in epoch milliseconds, for the `at` of events. `Date.now`. */
  now?: () => number;
  /** The name of its node. None. */
  node?: string;
}

/** How a client of the server is made: as any, but for what the server itself gives it. */
export interface TestClientOptions extends Partial<Omit<ClientOptions, 'url'>> {
  /** Whose client it is. `u1`. */
  user?: string;
  /** What the user may do. Everything. */
  grants?: readonly TestGrant[];
}

/** An event as the server stores it. */
export type TestEvent = Readonly<WireEvent>;

/** An event to be stored, as far as it matters. */
export interface TestAppend {
  /** A JSON value. */
  data: unknown;
  /** Who wrote it. `someone`. */
  author?: string;
  /** `message`. */
  type?: string;
  /** A UUID. A new one. */
  tag?: string;
}

/** One connection, as the server has it. */
export interface TestConnection {
  /** The user of its token. */
  readonly user: string;
  /** What carries it. */
  readonly transport: 'websocket' | 'sse';
  /** The rooms it follows. */
  readonly rooms: readonly string[];
}

/** A server in memory: see `createTestServer`. */
export class TestServer {
  /** The address that its clients are given. Nothing listens there. */
  readonly url = 'http://roomlog.test';
  /** What is between it and its clients, to be made worse. */
  readonly network = new TestNetwork();
  /** Its WebSocket class, for a client that is not made by `client`. */
  readonly WebSocket: WebSocketConstructor;
  /** Its `fetch`, for a client that is not made by `client`, and for the test itself. */
  readonly fetch: typeof fetch;

  readonly #hub: Hub;
  readonly #http: Http;
  readonly #clients = new Set<Client>();

  /** For `createTestServer`. */
  constructor({ now = () => Date.now(), node }: TestServerOptions) {
    const { weather } = this.network;
    this.#hub = new Hub(now, node);
    this.#http = new Http(this.#hub, weather);
    this.WebSocket = socketClass(this.#hub, weather);
    this.fetch = this.#http.fetch;
  }

  // ---- clients ----

  /** Makes a real client of this server. It does nothing until `connect()` or the first `attach()`; `close` closes it. */
  client({ user = 'u1', grants, ...options }: TestClientOptions = {}): Client {
    const { url, WebSocket, fetch } = this;
    const token = async () => this.token(user, grants);
    const client = createClient({ url, token, WebSocket, fetch, user, ...options });
    this.#clients.add(client);
    return client;
  }

  /** A token of a user, with grants: everything unless given. */
  token(user: string, grants?: readonly TestGrant[]): string {
    return this.#hub.token(user, grants);
  }

  /** Who is connected, in the order in which they came. */
  get connections(): TestConnection[] {
    const streams = new Set([...this.#http.streams].map(({ peer }) => peer));
    return [...this.#hub.followers].flatMap(each =>
      each instanceof Peer && each.who
        ? { user: each.who.user, transport: streams.has(each) ? 'sse' : 'websocket', rooms: each.rooms }
        : [],
    );
  }

  /** The HTTP requests that came, in their order. */
  get requests(): readonly TestRequest[] {
    return this.#http.requests;
  }

  /** Closes every client that `client` has made. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients].map(client => client.close()));
    this.#clients.clear();
  }

  // ---- rooms ----

  /** The events of a room, the oldest first. */
  log(room: string): readonly TestEvent[] {
    return [...this.#hub.log(room).events];
  }

  /** The position behind a room's newest event. */
  position(room: string): string {
    const log = this.#hub.log(room);
    return log.position(log.head);
  }

  /**
   * Stores an event, whoever may send, and shows it to those who follow the room; the same author, room and tag again give the
   * first event. Throws a TypeError for what no server would store.
   */
  append(
    room: string,
    { data, author = 'someone', type = 'message', tag = newTag() }: TestAppend,
  ): TestEvent {
    const unfits = unfit(tag, type, data) ?? TestState.unfit(type, data, undefined);
    const wrong = isRoom(room) ? unfits?.code : 'bad_room';
    if (wrong) throw new TypeError(`The test server cannot store this: ${wrong}.`);
    const known = this.#hub.log(room).find(author, tag.toLowerCase());
    return known?.event ?? this.#hub.store({ room, author, tag: tag.toLowerCase(), type, data });
  }

  /** Forgets the events below a seq, as retention does: those who stand further back are reset, reason `pruned` (RET-2). */
  prune(room: string, belowSeq: number): void {
    this.#hub.prune(room, belowSeq);
  }

  /** The state of a room: by key, what is set. */
  state(room: string): Readonly<Record<string, unknown>> {
    const { state = {} } = this.#hub.log(room).state.whole();
    return Object.fromEntries(Object.entries(state).map(([key, { value }]) => [key, value]));
  }

  /** Forgets which keys of a room's state were deleted: those who stand further back are given all of it (STATE-10). */
  forgetDeleted(room: string): void {
    const log = this.#hub.log(room);
    log.state.forget(log.head);
  }

  /**
   * Numbers a room anew, as a store that was restored does: all who know it are reset, reason `epoch` (POS-7). `lost` is how many
   * of its newest events are gone: none.
   */
  reset(room: string, { lost = 0 }: { lost?: number } = {}): void {
    this.#hub.renumber(room, this.#hub.log(room).head - lost);
  }

  /** Deletes a room: those who follow it are reset to an empty one (ROOM-10). */
  delete(room: string): void {
    this.#hub.remove(room);
  }

  // ---- refusals ----

  /** Refuses the next `times` sends that are no repeats; `stored` with `outcome_unknown` stores them all the same. */
  refuse(refusal: TestVerdict, times = 1): void {
    for (let i = 0; i < times; i++) this.#hub.verdicts.push(refusal);
  }

  /** Ends what `refuse` has ordered and no send has met. */
  accept(): void {
    this.#hub.verdicts.length = 0;
  }

  /** Asks `hook` about each send that would be stored: what it returns refuses the send; undefined as the hook ends it. */
  beforeAppend(hook: ((send: TestSend) => TestRefusal | undefined) | undefined): void {
    this.#hub.beforeAppend = hook;
  }

  /** Bans a user from a room: for them it is `unknown_room`, at once (ACC-3). */
  deny(user: string, room: string): void {
    this.#hub.ban(room, user, true);
  }

  /** Lifts that ban. */
  allow(user: string, room: string): void {
    this.#hub.ban(room, user, false);
  }

  /** The user's tokens are over: their connections end, and come back with fresh ones (AUTH-9, CLOSE-9). */
  expireTokens(user: string): void {
    this.#hub.endTokens(user, 'token_expired');
  }

  /** The user's tokens are taken back: their connections end, and do not come back by themselves (ACC-2). */
  revoke(user: string): void {
    this.#hub.endTokens(user, 'revoked');
  }

  /** What it does without from now on, such as `bus`: its clients show it (NODE-2). Nothing: all is well. */
  degrade(...parts: string[]): void {
    this.#hub.degrade(parts);
  }

  /** Stops and starts again, with everything it has stored: clients are told when to come back, in milliseconds (CLOSE-10). */
  restart(retryAfterMs = 1_000): void {
    for (const each of [...this.#hub.followers]) each.end({ code: 'going_away', retryAfterMs });
  }
}

/**
 * Makes a server in memory that keeps the protocol: rooms, positions, resets, sends in order and once, history, changes of messages, streams and
 * polls, over WebSockets and requests that never leave the process; state, all of which is kept in the log; and who is present, signals and receipts, told at once,
 * where a real server gathers and grants a grace. It has no rates, limits of connections, schemas or documents, tells the
 * grants `read` and `send` apart but asks nobody for `admin`, and keeps numbers of `data` as JavaScript does.
 */
export function createTestServer(options: TestServerOptions = {}): TestServer {
  return new TestServer(options);
}
