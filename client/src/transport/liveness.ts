/** How long a probe may stay unanswered before the link is given up (BEAT-5). */
const PROBE_MS = 2_000;
/** How long a request may wait for its answer before the link is probed. */
const ANSWER_MS = 3_000;
/**
 * How long a request may wait though the other side answers pings. A server answers within seconds (ACK-5); one that
 * does not has lost the request, and only a new connection sends it again.
 */
const LOST_REQUEST_MS = 20_000;
/** How much longer than the server's own ping interval a silence may last. */
const SILENCE_GRACE_MS = 5_000;

// Monotonic: setting the device's clock back must not put the deadlines off.
const now = () => performance.now();

/** What liveness asks of its owner. */
export interface LivenessEvents {
  /** Send a ping. */
  probe(): void;
  /** The other side is gone: drop the link. */
  dead(): void;
}

/**
 * Tells whether the other side of an open link is there (BEAT-5). A dead link often says OPEN for minutes: only
 * an answer counts. One timer runs at a time; `stop` ends it.
 */
export class Liveness {
  #heardAt = now();
  #probedAt: number | undefined;
  /** When the wait for an answer began, and from when the next probe of it counts. */
  #unansweredSince = 0;
  #waitingSince: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #silenceMs: number;
  readonly #events: LivenessEvents;

  /** `pingMs` is the server's ping interval, from `welcome`. */
  constructor(pingMs: number, events: LivenessEvents) {
    this.#silenceMs = pingMs + SILENCE_GRACE_MS;
    this.#events = events;
    this.#arm();
  }

  /** Anything came in: a sign of life. Gives the round trip in milliseconds if it is the pong of a probe. */
  heard(isPong: boolean): number | undefined {
    this.#heardAt = now();
    if (this.#probedAt === undefined) return undefined;
    const rtt = this.#heardAt - this.#probedAt;
    this.#probedAt = undefined;
    // A request still unanswered gets its next probe a full wait from now, not at once.
    if (this.#waitingSince !== undefined) this.#waitingSince = this.#heardAt;
    this.#arm();
    return isPong ? rtt : undefined;
  }

  /** Says whether a send or join waits for its answer; `fresh` that the wait begins anew. */
  waiting(waits: boolean, fresh: boolean): void {
    if (waits && !fresh && this.#waitingSince !== undefined) return;
    this.#unansweredSince = now();
    this.#waitingSince = waits ? this.#unansweredSince : undefined;
    if (this.#probedAt === undefined) this.#arm();
  }

  /** Probes now, unless a probe is under way. */
  probe(): void {
    if (this.#probedAt !== undefined) return;
    this.#probedAt = now();
    this.#arm();
    this.#events.probe();
  }

  /** Ends the timer. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #requestLost(): boolean {
    return this.#waitingSince !== undefined && now() - this.#unansweredSince >= LOST_REQUEST_MS;
  }

  #dueAt(): number {
    if (this.#probedAt !== undefined) return this.#probedAt + PROBE_MS;
    const silence = this.#heardAt + this.#silenceMs;
    return this.#waitingSince === undefined ? silence : Math.min(silence, this.#waitingSince + ANSWER_MS);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#due(), Math.max(0, this.#dueAt() - now()));
  }

  #due(): void {
    // What was heard since the timer was set has moved the deadline; it is only now looked at, not per frame.
    if (now() < this.#dueAt()) this.#arm();
    else if (this.#probedAt !== undefined || this.#requestLost())
      // A page that stood still finds this timer due with the answer behind it: a turn later, what has come is heard.
      this.#timer = setTimeout(() => this.#events.dead());
    else this.probe();
  }
}
