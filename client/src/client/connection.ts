import { CLOSE_UNAUTHENTICATED, parseClose } from '../protocol/close.js';
import type { ClientFrame, ErrorFrame, ServerFrame, WelcomeFrame } from '../protocol/frames.js';
import { parseFrame } from '../protocol/parse.js';
import { Liveness } from '../transport/liveness.js';
import type { Link, Transport } from '../transport/transport.js';
import { concernsConnection, localError, RoomlogError } from './error.js';
import type { LogEntry } from './types.js';

/** How long the token callback, and then the way from dialling to welcome, may take. */
const STEP_MS = 10_000;

/** How this client calls itself in `hello`. */
const CLIENT = 'roomlog-js/0.1.0';

/** How a connection ended. */
export interface Ending {
  error: RoomlogError;
  /** Whether to come back (CLOSE-2). */
  retry: boolean;
  /** Not before this many milliseconds. */
  retryAfterMs: number;
  /** The token was refused: a fresh one may help (CLOSE-9). */
  refusedToken: boolean;
}

/** What a connection tells the session. After `ended` it says nothing more. */
export interface ConnectionEvents {
  welcomed(frame: WelcomeFrame): void;
  frame(frame: ServerFrame): void;
  roundTrip(ms: number): void;
  ended(ending: Ending): void;
}

/** What a connection needs. */
export interface ConnectionNeeds {
  transport: () => Transport;
  token: (signal: AbortSignal) => Promise<string>;
  log: (level: LogEntry['level'], event: string, data: Record<string, unknown>) => void;
}

/** One connection from fetching the token to its end. It is used once; the session makes the next. */
export class Connection {
  readonly startedAt = performance.now();
  /** When something last came in, in epoch milliseconds. */
  heardAt: number | undefined;
  welcome: WelcomeFrame | undefined;

  readonly #needs: ConnectionNeeds;
  readonly #events: ConnectionEvents;
  readonly #abort = new AbortController();
  #link: Link | undefined;
  #liveness: Liveness | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #refusal: ErrorFrame | undefined;
  #helloAt = 0;
  #over = false;

  constructor(needs: ConnectionNeeds, events: ConnectionEvents) {
    this.#needs = needs;
    this.#events = events;
  }

  /** Aborted at its end. */
  get over(): AbortSignal {
    return this.#abort.signal;
  }

  /** Fetches the token, dials and says hello. Every outcome is an event. */
  async start(): Promise<void> {
    this.#expect('The token did not come.');
    let token: string;
    try {
      token = await this.#needs.token(this.#abort.signal);
    } catch (cause) {
      const retry = (cause as { retryable?: unknown } | null)?.retryable !== false;
      this.#end(localError('no_token', 'The token did not come.', retry, cause));
      return;
    }
    if (this.#over) return;
    this.#expect('The server did not answer.');
    try {
      this.#link = this.#needs.transport().dial({
        open: () => {
          this.#helloAt = performance.now();
          this.send({ op: 'hello', token, client: CLIENT });
        },
        message: text => this.#message(text),
        closed: (code, reason) => this.#closed(code, reason),
      });
    } catch (cause) {
      const error =
        cause instanceof RoomlogError
          ? cause
          : localError('network', 'This address cannot be dialled.', false, cause);
      this.#end(error);
    }
  }

  send(frame: ClientFrame | string): void {
    this.#link?.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** Checks that the other side is there (BEAT-5). */
  probe(): void {
    this.#liveness?.probe();
  }

  /** Whether requests wait for an answer, and whether that wait begins anew. */
  waiting(waits: boolean, fresh: boolean): void {
    this.#liveness?.waiting(waits, fresh);
  }

  /** Ends the connection without an event. */
  drop(): void {
    this.#over = true;
    clearTimeout(this.#deadline);
    this.#liveness?.stop();
    this.#abort.abort();
    this.#link?.drop();
  }

  /** Ends the connection for a reason of the client's own; the session comes back. */
  abandon(title: string): void {
    this.#end(localError('network', title, true));
  }

  #expect(title: string): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.abandon(title), STEP_MS);
  }

  #message(text: string): void {
    this.heardAt = Date.now();
    const frame = parseFrame(text);
    if (typeof frame === 'string') {
      this.#needs.log('error', 'frame.broken', { why: frame });
      this.abandon('The server broke the protocol.');
      return;
    }
    const rtt = this.#liveness?.heard(frame?.op === 'pong');
    if (rtt !== undefined) this.#events.roundTrip(rtt);
    if (frame) this.#take(frame);
  }

  #take(frame: ServerFrame): void {
    if (frame.op === 'ping') this.send({ op: 'pong' });
    // Of the connection, not of a request: the reason of the close that follows.
    if (frame.op === 'error' && (frame.id === undefined || concernsConnection(frame.code)))
      this.#refusal = frame;
    if (frame.op !== 'welcome') {
      if (this.welcome) this.#events.frame(frame);
      return;
    }
    if (this.welcome) return;
    clearTimeout(this.#deadline);
    this.welcome = frame;
    this.#liveness = new Liveness(frame.ping_ms, {
      probe: () => this.send({ op: 'ping' }),
      dead: () => this.abandon('The server fell silent.'),
    });
    this.#events.roundTrip(performance.now() - this.#helloAt);
    this.#events.welcomed(frame);
  }

  #closed(code: number, text: string): void {
    const closing = parseClose(code, text);
    const told = this.#refusal && (!closing.reason || closing.reason === this.#refusal.code);
    const refusal = told ? this.#refusal : undefined;
    const title = `The connection was closed (${code}).`;
    this.#end(
      refusal ? new RoomlogError(refusal) : localError(closing.reason ?? 'network', title, closing.retryable),
      {
        retry: closing.retryable,
        retryAfterMs: Math.max(closing.retryAfterMs, refusal?.retry_after_ms ?? 0),
        refusedToken: code === CLOSE_UNAUTHENTICATED,
      },
    );
  }

  #end(error: RoomlogError, how: Partial<Ending> = {}): void {
    if (this.#over) return;
    this.drop();
    this.#events.ended({ error, retry: error.retryable, retryAfterMs: 0, refusedToken: false, ...how });
  }
}
