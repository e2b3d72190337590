/** After so long without a sign of a person a tab that is seen is idle too. */
const IDLE_MS = 300_000;
const SIGNS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'];

/** Watches whether a person is at the page: hidden is idle, and so is seen but left alone. Where there is no page nobody is ever idle. */
export class Idle {
  isIdle = false;
  readonly #changed: () => void;
  #stop: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #seenAt = 0;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Watches from now on. */
  start(): void {
    if (this.#stop || typeof document === 'undefined') return;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const options = { signal, passive: true, capture: true };
    const seen = () => this.#seen();
    for (const sign of SIGNS) document.addEventListener(sign, seen, options);
    document.addEventListener('visibilitychange', seen, options);
    this.#seen();
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #seen(): void {
    this.#seenAt = performance.now();
    this.#timer ??= setTimeout(() => this.#due(), IDLE_MS);
    this.#become(document.visibilityState === 'hidden');
  }

  /** One timer runs at a time: what was seen since it was set is only looked at when it is due. */
  #due(): void {
    const left = this.#seenAt + IDLE_MS - performance.now();
    this.#timer = left > 0 ? setTimeout(() => this.#due(), left) : undefined;
    if (left <= 0) this.#become(true);
  }

  #become(idle: boolean): void {
    if (idle === this.isIdle) return;
    this.isIdle = idle;
    this.#changed();
  }
}
