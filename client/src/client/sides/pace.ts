/** Does something at once, and then no more often than every so many milliseconds: what comes in between is done once, at the end. */
export class Pace {
  readonly #ms: number;
  readonly #act: () => void;
  readonly #atOnce: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #again = false;

  /** `atOnce` false: the first one waits too, for what comes with it. */
  constructor(ms: number, act: () => void, atOnce = true) {
    this.#ms = ms;
    this.#act = act;
    this.#atOnce = atOnce;
  }

  /** It is to be done. */
  due(): void {
    if (this.#timer !== undefined) {
      this.#again = true;
      return;
    }
    this.#again = !this.#atOnce;
    if (this.#atOnce) this.#act();
    this.#wait();
  }

  /** Nothing that waits is done any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#again = false;
  }

  /** Whether nothing waits. */
  get idle(): boolean {
    return this.#timer === undefined;
  }

  #wait(): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.#act();
      this.#wait();
    }, this.#ms);
  }
}
