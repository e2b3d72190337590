import { isEvent } from '../protocol/check.js';
import { addresses } from '../transport/address.js';
import { type Ladder, ladder } from '../transport/ladder.js';
import { later } from '../transport/later.js';
import type { WebSocketConstructor } from '../transport/socket.js';
import { toMessage } from './change.js';
import { core } from './core.js';
import { localError } from './error.js';
import { Keeper } from './keeper.js';
import type { Outbox } from './outbox.js';
import { type Readable, type Unsubscribe, Value } from './readable.js';
import type { RequestNeeds } from './request.js';
import { RoomlogRoom } from './room.js';
import { Session } from './session.js';
import type {
  Client,
  ClientEvents,
  ClientOptions,
  ConnectionStatus,
  MessageBody,
  PresenceData,
  Room,
  RoomOptions,
  RoomOverview,
  StateValues,
} from './types.js';

class RoomlogClient implements Client {
  readonly #options: ClientOptions;
  readonly #session: Session;
  readonly #rooms = new Map<string, RoomlogRoom>();
  readonly #keeper: Keeper;
  /** Rooms that kept sends have made, for which the application has not given its options. */
  readonly #restored = new Set<RoomlogRoom>();
  #ladder: Ladder | undefined;

  readonly rooms = new Value<readonly RoomOverview[]>([], () => void this.#follow(() => {}));
  readonly #follow = later(async () =>
    (await import('./me.js')).followRooms({
      session: this.#session,
      rooms: this.rooms,
      message: last => (isEvent(last) ? toMessage(last, this.user ?? '') : undefined),
    }),
  );

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#session = new Session({
      ...options,
      transport: () => this.#transport(),
      transportName: () => this.#ladder?.name,
      known: user => this.#keeper.use(user),
    });
    this.#keeper = new Keeper({
      storage: options.storage,
      session: this.#session,
      requests: this.#requests,
      rooms: () => this.#rooms.values(),
      outbox: room => this.#outbox(room),
    });
  }

  /** Looks for the global one when it is called: it needs no object that it is a method of. */
  #fetch: typeof fetch = (...request) => (this.#options.fetch ?? fetch)(...request);

  readonly #requests: RequestNeeds = {
    core,
    api: () => addresses(this.#options.url).api,
    fetch: this.#fetch,
    token: (...refused) => this.#session.token(...refused),
  };

  get status(): Readable<ConnectionStatus> {
    return this.#session.status;
  }

  get user(): string | undefined {
    return this.#session.user;
  }

  connect(): Promise<void> {
    this.#session.open();
    const connected = this.#connected();
    connected.catch(() => {}); // `status` shows it; who awaits still hears of it
    return connected;
  }

  async close(): Promise<void> {
    this.#session.close();
    await this.#keeper.close();
  }

  retryNow(): void {
    this.#session.retryNow();
  }

  room<M = MessageBody, P = PresenceData, S = StateValues>(
    id: string,
    options: RoomOptions = {},
  ): Room<M, P, S> {
    const all: RoomOptions = { ...this.#options, ...options };
    let room = this.#rooms.get(id);
    if (!room) {
      const needs = { session: this.#session, requests: this.#requests, keeper: this.#keeper };
      room = new RoomlogRoom(id, { ...needs, options: all });
      this.#rooms.set(id, room);
      this.#session.rooms.set(id, room);
    } else if (this.#restored.delete(room)) {
      room.configure(all);
    }
    return room as Room<unknown, unknown, unknown> as Room<M, P, S>;
  }

  #outbox(id: string): Outbox {
    let room = this.#rooms.get(id);
    if (!room) {
      room = this.room(id) as Room<unknown, unknown, unknown> as RoomlogRoom;
      this.#restored.add(room);
    }
    return room.outbox;
  }

  on<K extends keyof ClientEvents>(event: K, fn: (event: ClientEvents[K]) => void): Unsubscribe {
    return this.#session.events.on(event, fn);
  }

  /** Made when it is first needed: where nothing is dialled, the runtime may have no network at all. */
  #transport(): Ladder {
    const { url, transports: names } = this.#options;
    this.#ladder ??= ladder({
      url,
      names,
      WebSocket: () => webSocket(this.#options),
      fetch: this.#fetch,
      log: (event, data) => this.#session.log('info', event, data),
    });
    return this.#ladder;
  }

  async #connected(): Promise<void> {
    for await (const { state } of this.#session.status) {
      if (state === 'connected') return;
      if (this.#session.givenUp) throw this.#session.givenUp;
    }
  }
}

function webSocket(options: ClientOptions): WebSocketConstructor {
  const found = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
  if (found) return found;
  throw localError('no_websocket', 'Give `ws` of npm as the option `WebSocket`.', false);
}

/**
 * Makes a client of one server. It does nothing until `connect()` or the first `room.attach()`, so it can be made at
 * the top of a module, also one that a server renders.
 */
export function createClient(options: ClientOptions): Client {
  return new RoomlogClient(options);
}
