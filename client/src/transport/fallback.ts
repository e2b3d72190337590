import type { Ladder } from './ladder.js';
import type { Link } from './transport.js';

/** A link that is cut before it held this long counts as cut short. */
const HELD_MS = 60_000;
/** So many links cut short in a row are the doing of something in between. */
const MAX_CUTS = 3;
/** After how long on a fallback the first transport is tried again; the wait doubles. */
const AGAIN_MS = 30_000;
const MAX_AGAIN_MS = 600_000;
/** How long that trial, and the question whether plain HTTP works, may take. */
const TRIAL_MS = 5_000;

// Monotonic, as in liveness.ts.
const now = () => performance.now();

/** Decides which rung of a ladder is next. It is loaded when the first link of the first one was cut, or stays mute. */
export class Fallback {
  readonly #ladder: Ladder;
  #cuts = 0;
  /** How often in a row the first did not get through though plain HTTP did: once may be a server that just came back. */
  #blocked = 0;
  /** How often in a row the first transport was given up or tried again in vain, and when it is tried next. */
  #again = 0;
  #againAt = 0;

  constructor(ladder: Ladder) {
    this.#ladder = ladder;
  }

  /** A link of the first has been mute for long; `isStill` tells whether it is the last one and still mute. */
  async mute(isStill: () => boolean, cut: (code: number) => void, code: number): Promise<void> {
    if (!(await this.#reachable()) || !isStill()) return;
    this.#blocked++; // HTTP was answered while the dial was not
    cut(code);
  }

  /** The link has got through. Returns what ends the trials of the first from a rung below it. */
  heard(at: number, cut: (code: number) => void): () => void {
    this.#blocked = 0;
    if (at === 0) return () => {};
    return this.#tryAgain(() => {
      this.#move(0, 'open again');
      cut(1000);
    });
  }

  /** What the end of a link says about its transport; `held` is undefined where nothing ever came over it. */
  ended(at: number, isCut: boolean, reason: string, held: number | undefined): void {
    const { length } = this.#ladder.needs.rungs;
    if (at !== this.#ladder.at) return;
    if (held !== undefined && held >= HELD_MS) {
      this.#cuts = 0;
      if (at === 0) this.#again = 0;
    } else if (!isCut) return;
    else if (held === undefined && at === 0) void this.#downIfReachable();
    else if (held === undefined) this.#move((at + 1) % length, 'no answer');
    else if (
      at + 1 < length &&
      (reason !== '' || ++this.#cuts >= (at === 0 && this.#again > 0 ? 1 : MAX_CUTS))
    ) {
      this.#move(at + 1, reason || 'cut short');
    }
  }

  async #downIfReachable(): Promise<void> {
    const ladder = this.#ladder;
    const mine = ladder.dials;
    const reachable = await this.#reachable();
    // A later dial may have got through: it has the last word.
    if (!reachable || ladder.at > 0 || ladder.isThrough || ladder.dials - mine > 1) return;
    if (++this.#blocked > 1) this.#move(1, 'blocked');
  }

  #move(to: number, why: string): void {
    const { at, needs } = this.#ladder;
    const { log, rungs } = needs;
    log('transport', { from: rungs[at]?.name, to: rungs[to]?.name, why });
    if (at === 0) this.#tryLater();
    this.#ladder.at = to;
    this.#cuts = 0;
  }

  #tryLater(): void {
    this.#againAt = now() + Math.min(MAX_AGAIN_MS, AGAIN_MS * 2 ** this.#again++);
  }

  /** Whether the server answers plain HTTP. */
  #reachable(): Promise<boolean> {
    const { api, fetch } = this.#ladder.needs.http;
    return fetch(`${api}/healthz`, { signal: AbortSignal.timeout(TRIAL_MS), cache: 'no-store' }).then(
      answer => answer.ok,
      () => false,
    );
  }

  /** Opens the first transport beside the link from time to time. Returns what ends that. */
  #tryAgain(open: () => void): () => void {
    let probe: Link | undefined;
    let timer: ReturnType<typeof setTimeout>;
    const wait = () => {
      timer = setTimeout(
        () => {
          timer = setTimeout(failed, TRIAL_MS);
          try {
            probe = this.#ladder.needs.rungs[0]?.transport.dial({
              open: opened,
              message: () => {},
              closed: failed,
            });
          } catch {
            failed();
          }
        },
        Math.max(0, this.#againAt - now()),
      );
    };
    const stop = () => {
      clearTimeout(timer);
      probe?.drop();
      probe = undefined;
    };
    const failed = () => {
      stop();
      this.#tryLater();
      wait();
    };
    const opened = () => {
      stop();
      open();
    };
    wait();
    return stop;
  }
}
