import type { ClientFrame, ServerFrame, WelcomeFrame } from '../protocol/frames.js';
import { jitter } from '../transport/backoff.js';
import type { TransportName } from '../transport/ladder.js';
import { later } from '../transport/later.js';
import type { Transport } from '../transport/transport.js';
import { Connection, type Ending } from './connection.js';
import { localError, type RoomlogError } from './error.js';
import { callOut, Emitter, Value } from './readable.js';
import type {
  ClientEvents,
  ClientOptions,
  ConnectionState,
  ConnectionStatus,
  LogEntry,
  TokenContext,
} from './types.js';
import { deviceOffline, tabHidden } from './wake.js';

/** How long a connection must hold until the attempts are counted from 0 again (CLOSE-8). */
const STABLE_MS = 10_000;
/** An attempt younger than this is not begun anew by `retryNow`. */
const YOUNG_MS = 1_000;

/** What a server says of itself while it says nothing. */
const NOTHING: Pick<ConnectionStatus, 'node' | 'degraded'> = { node: undefined, degraded: [] };

/** What the session tells a room. */
export interface Subscriber {
  /** Connected: join, send. */
  up(): void;
  /** The connection has ended: nothing asked on it will be answered. */
  down(): void;
  /** A frame that names the room. */
  frame(frame: ServerFrame): void;
  /** No connection will come: what waits must fail. */
  give(up: RoomlogError): void;
}

/** What the session needs of the options, defaults filled in. */
export interface SessionSettings extends ClientOptions {
  transport: () => Transport;
  /** The name of the transport that was dialled last. */
  transportName: () => TransportName | undefined;
  /** Told who the user is: as given, then as the server says, each time. */
  known: (user: string) => void;
}

/**
 * Keeps one connection up: when to dial, when to wait, when to stop (CLOSE-2, CLOSE-8, CLOSE-9), and says how it
 * is. Rooms subscribe to it; it knows nothing of what they say.
 */
export class Session {
  readonly status: Value<ConnectionStatus>;
  readonly events = new Emitter<ClientEvents>();
  /** By room; by undefined what is told of no room. */
  readonly rooms = new Map<string | undefined, Subscriber>();
  user: string | undefined;

  readonly #settings: SessionSettings;
  #connection: Connection | undefined;
  #wanted = false;
  #final: { state: 'closed' | 'failed'; error: RoomlogError } | undefined;
  #attempt = 0;
  #connectedBefore = false;
  #pending = 0;
  #reason: RoomlogError | undefined;
  #rttMs: number | undefined;
  #told = NOTHING;
  #lastSyncedAt: number | undefined;
  #tokenReason: TokenContext['reason'] = 'connect';
  #freshTokenTried = false;
  #token: string | undefined;
  #retryAt: number | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #stableTimer: ReturnType<typeof setTimeout> | undefined;
  #lostTimer: ReturnType<typeof setTimeout> | undefined;
  #lost = false;
  /** Ends what listens to the device. */
  #over: AbortController | undefined;
  readonly #device = later(() => import('./device.js'));
  #requestId = 0;
  readonly #unanswered = new Map<number, Subscriber>();

  constructor(settings: SessionSettings) {
    this.#settings = settings;
    this.user = settings.user;
    this.status = new Value(this.#snapshot());
  }

  log(level: LogEntry['level'], event: string, data?: Record<string, unknown>): void {
    const { onLog } = this.#settings;
    if (onLog) callOut(onLog, { level, event, ...(data && { data }) });
  }

  // ---- wanting a connection ----

  /** Whether frames can be sent. */
  get isUp(): boolean {
    return !!this.welcome;
  }

  /** Why there will be no connection unless `open` is called; undefined while there may be. */
  get givenUp(): RoomlogError | undefined {
    return this.#final?.error;
  }

  /** What the server said of the connection there is. */
  get welcome(): WelcomeFrame | undefined {
    return this.#connection?.welcome;
  }

  /** Connects, also after `close` or a failure. */
  open(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#final = this.#reason = undefined;
    this.#attempt = 0;
    this.#connectedBefore = this.#freshTokenTried = false;
    this.#over = new AbortController();
    if (this.user !== undefined) this.#settings.known(this.user);
    this.#dial();
  }

  /** As `open`, unless the client was closed or has failed: that only the application undoes. */
  openUnlessOver(): void {
    if (!this.#final) this.open();
  }

  /** Ends everything. */
  close(): void {
    if (this.#final?.state === 'closed') return;
    this.#finish('closed', localError('closed', 'The client was closed.', true));
  }

  /** Does not wait for the next attempt; probes where there is a connection. */
  retryNow(): void {
    if (this.#final?.state === 'failed') this.open();
    else if (this.#wanted) this.#woke();
  }

  #woke(): void {
    const connection = this.#connection;
    if (connection?.welcome) connection.probe();
    else if (!connection || performance.now() - connection.startedAt > YOUNG_MS) {
      connection?.drop();
      this.#connection = undefined;
      this.#dial();
    }
    this.#publish();
  }

  /** The tab has long been hidden. True where somebody's words wait in it: then it is to be asked again. */
  #pause(): boolean {
    if (this.#pending > 0) return true;
    if (this.#connection) {
      this.log('info', 'connection.paused');
      this.#drop();
      this.#publish();
    }
    return false;
  }

  // ---- one attempt after another ----

  #dial(): void {
    clearTimeout(this.#retryTimer);
    this.#retryAt = undefined;
    if (!this.#wanted || this.#connection) return;
    const events = {
      woke: () => this.#woke(),
      wentOffline: () => {
        this.#connection?.probe();
        this.#publish();
      },
      pause: () => this.#pause(),
    };
    const { pauseWhenHiddenMs } = this.#settings;
    void this.#device(({ watchDevice }) =>
      watchDevice(events, (this.#over as AbortController).signal, pauseWhenHiddenMs),
    );
    // A tab that nobody sees comes back when it is looked at, unless somebody's words wait in it.
    if (!tabHidden() || this.#pending > 0) {
      const connection = new Connection(
        {
          transport: this.#settings.transport,
          token: signal => this.#fetchToken(signal),
          log: (...entry) => this.log(...entry),
        },
        {
          welcomed: frame => this.#welcomed(connection, frame),
          frame: frame => this.#frame(frame),
          roundTrip: ms => {
            this.#rttMs = ms;
            this.#publish();
          },
          ended: ending => this.#ended(ending),
        },
      );
      this.#connection = connection;
      this.#watchLoss();
      this.log('debug', 'connection.dial', { attempt: this.#attempt });
      void connection.start();
    }
    this.#publish();
  }

  #welcomed(connection: Connection, frame: WelcomeFrame): void {
    this.user = frame.user;
    this.#told = { node: frame.node, degraded: [] };
    this.#connectedBefore = true;
    this.#freshTokenTried = false;
    this.#tokenReason = 'connect';
    this.#reason = undefined;
    this.#stableTimer = setTimeout(() => {
      this.#attempt = 0;
      this.#publish();
    }, STABLE_MS);
    this.log('info', 'connection.up', { user: frame.user, ms: performance.now() - connection.startedAt });
    this.#publish();
    this.#found();
    this.#keepFresh(connection);
    this.#settings.known(frame.user);
    for (const room of [...this.rooms.values()]) room.up();
  }

  #ended(ending: Ending): void {
    const { error } = ending;
    this.log('warn', 'connection.down', { code: error.code, title: error.message, retry: ending.retry });
    this.#drop();
    this.#reason = error;
    if (ending.refusedToken && typeof this.#settings.token === 'function' && !this.#freshTokenTried) {
      this.#freshTokenTried = true;
      this.#tokenReason = error.code === 'token_expired' ? 'expired' : 'rejected';
      this.#schedule(this.#attempt === 0 ? 0 : jitter(this.#attempt, this.#settings.backoff));
    } else if (ending.retry) {
      this.#schedule(Math.max(ending.retryAfterMs, jitter(this.#attempt, this.#settings.backoff)));
    } else {
      this.#finish('failed', error);
    }
  }

  #schedule(ms: number): void {
    this.#attempt++;
    this.#retryAt = Date.now() + ms;
    this.#retryTimer = setTimeout(() => this.#dial(), ms);
    this.#watchLoss();
    this.#publish();
  }

  /** Lets go of the connection and tells the rooms. */
  #drop(): void {
    const connection = this.#connection;
    if (!connection) return;
    this.#connection = undefined;
    this.#told = NOTHING;
    connection.drop();
    clearTimeout(this.#stableTimer);
    this.#unanswered.clear();
    if (!connection.welcome) return;
    this.#lastSyncedAt = connection.heardAt;
    for (const room of [...this.rooms.values()]) room.down();
  }

  #finish(state: 'closed' | 'failed', error: RoomlogError): void {
    this.#wanted = false;
    this.#final = { state, error };
    this.#over?.abort();
    for (const timer of [this.#retryTimer, this.#lostTimer]) clearTimeout(timer);
    this.#retryAt = this.#lostTimer = undefined;
    this.#lost = false;
    this.#reason = state === 'failed' ? error : undefined;
    this.#drop();
    for (const room of [...this.rooms.values()]) room.give(error);
    this.#publish();
    if (state === 'closed') return;
    this.log('error', 'connection.failed', { code: error.code, title: error.message });
    this.events.emit('lost-connection', 'failed');
    this.events.emit('error', error);
  }

  // ---- tokens ----

  async #fetchToken(signal: AbortSignal): Promise<string> {
    const { token } = this.#settings;
    this.#token = typeof token === 'string' ? token : await token({ reason: this.#tokenReason, signal });
    return this.#token;
  }

  /** A connection outlives its token (AUTH-10). Where that code cannot be loaded, it ends with it, and the next has another. */
  #keepFresh(connection: Connection): void {
    import('./refresh.js')
      .then(({ keepFresh }) =>
        keepFresh(connection, this.#settings.token, this.#token, fresh => {
          this.#token = fresh;
        }),
      )
      .catch(() => {});
  }

  /** A token for a request beside the connection: the last one, or a new one where that was refused. */
  async token(refused: string | undefined, signal: AbortSignal): Promise<string> {
    if (this.#token !== undefined && this.#token !== refused) return this.#token;
    if (refused !== undefined) this.#tokenReason = 'rejected';
    return this.#fetchToken(signal);
  }

  // ---- frames ----

  /** Sends a frame whose answer, known by its id, goes to `asker`; `write` is given the id. Only while up. */
  request(asker: Subscriber, write: (id: number) => ClientFrame | string): number {
    const id = ++this.#requestId;
    this.#unanswered.set(id, asker);
    this.#connection?.send(write(id));
    this.#connection?.waiting(true, false);
    return id;
  }

  /** Sends a frame that is not answered. */
  tell(write: (id: number) => ClientFrame): void {
    if (this.isUp) this.#connection?.send(write(++this.#requestId));
  }

  /** Gives the connection up and comes back with the usual wait. */
  redial(title: string): void {
    this.#connection?.abandon(title);
  }

  #frame(frame: ServerFrame): void {
    const { id, room } = frame as { id?: number; room?: string };
    const asker = this.#unanswered.get(id as number);
    if (asker) {
      this.#unanswered.delete(id as number);
      this.#connection?.waiting(this.#unanswered.size > 0, true);
    }
    if (frame.op === 'degraded') {
      const { node = this.#told.node, parts: degraded } = frame;
      this.#told = { node, degraded };
      this.#publish();
    }
    if (frame.op === 'error') this.log('info', 'refused', { code: frame.code, title: frame.title, id });
    (asker ?? this.rooms.get(room))?.frame(frame);
  }

  // ---- what the application sees ----

  /** A room has this many more sends that wait; fewer, where negative. */
  pendingChanged(by: number): void {
    this.#pending += by;
    if (this.#settings.warnBeforeUnload !== false)
      void this.#device(({ holdPage }) => holdPage(this, this.#pending > 0));
    // A tab that did not dial because nobody saw it has something to say now.
    if (by > 0 && this.#wanted && !this.#connection && this.#retryAt === undefined) this.#dial();
    this.#publish();
  }

  #watchLoss(): void {
    if (this.#lost || this.#lostTimer !== undefined) return;
    this.#lostTimer = setTimeout(() => {
      this.#lost = true;
      this.events.emit('lost-connection', 'lost');
    }, this.#settings.lostAfterMs ?? 5_000);
  }

  #found(): void {
    clearTimeout(this.#lostTimer);
    this.#lostTimer = undefined;
    if (!this.#lost) return;
    this.#lost = false;
    this.events.emit('lost-connection', 'restored');
  }

  #state(): ConnectionState {
    if (this.#final) return this.#final.state;
    if (!this.#wanted) return 'idle';
    if (this.isUp) return 'connected';
    if (deviceOffline()) return 'offline';
    return this.#connectedBefore || this.#attempt > 0 ? 'reconnecting' : 'connecting';
  }

  #snapshot(): ConnectionStatus {
    return {
      state: this.#state(),
      reason: this.#reason,
      retryAt: this.#retryAt,
      attempt: this.#attempt,
      rttMs: this.#rttMs,
      pendingSends: this.#pending,
      transport: this.isUp ? this.#settings.transportName() : undefined,
      lastSyncedAt: this.isUp ? undefined : this.#lastSyncedAt,
      ...this.#told,
    };
  }

  #publish(): void {
    this.status.update(this.#snapshot());
  }
}
