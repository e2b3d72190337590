import { Value } from '../model/value.ts';

/** How a list of messages stands: about to show where it opens, going along with its end, or where its reader is. */
export type Stance = 'opening' | 'follows' | 'stays';

/** How far from the end is still at the end. */
const nearPx = 40;

/** For how long the list is left to a reader who went up: they may be about to go on. */
const heldMs = 250;

/** For how long after it grew the list moves by itself, and after a movement of their hand, by its reader. */
const busyMs = 1_000;

const upward = new Set(['ArrowUp', 'PageUp', 'Home', 'Tab']);

/**
 * Decides where a list stands, and nobody else does: the list itself only opens where it is told to. It opens anew for each link that is
 * followed, and until it has shown the message it opens at, nothing takes it elsewhere. From then on, where its reader has scrolled to
 * decides: at its end it follows whatever grows, elsewhere it stays.
 */
export class Footing {
  readonly stance = new Value<Stance>('opening');
  #box: HTMLElement | undefined;
  /** The seq of the message that it opens at; null is its end. */
  #target: number | null = null;
  /** Whether its end is that of the room. */
  #isLive = true;
  /** Where it was when we last looked. */
  #top = 0;
  #heldUntil = 0;
  #handAt = Number.NEGATIVE_INFINITY;
  #grewAt = Number.NEGATIVE_INFINITY;
  #unbind = new AbortController();
  // Not by the list: it does not know its new height yet, nor is a row that got a line higher any of its business.
  readonly #watching = new ResizeObserver(() => this.#grew());

  /** Takes the box of a new list, or of none. */
  readonly scroller = (next: HTMLElement | Window | null): void => {
    this.#watching.disconnect();
    this.#unbind.abort();
    this.#box = next instanceof HTMLElement ? next : undefined;
    this.stance.set('opening');
    if (!this.#box) return;
    this.#top = this.#box.scrollTop;
    this.#unbind = new AbortController();
    const { signal } = this.#unbind;
    this.#listen(this.#box, signal);
    // Its head, rows and foot are as high as what is in them; what holds them is as high as the box. Rows that are not drawn are padding.
    for (const part of [this.#box, ...(this.#box.firstElementChild?.children ?? [])])
      this.#watching.observe(part, { box: 'border-box' });
    this.#open(signal);
  };

  #listen(box: HTMLElement, signal: AbortSignal): void {
    const options = { passive: true, signal };
    const moved = () => {
      this.#handAt = performance.now();
    };
    box.addEventListener('scroll', () => this.#scrolled(), options);
    box.addEventListener('wheel', event => event.deltaY < 0 && moved(), options);
    box.addEventListener('touchmove', moved, options);
    box.addEventListener('keydown', event => upward.has(event.key) && moved(), options);
    box.addEventListener('pointerdown', event => event.target === box && moved(), options); // its scrollbar
  }

  /** Says where the list opens, and whether it ends where the room does. */
  hear(target: number | null, isLive: boolean): void {
    this.#target = target;
    if (isLive === this.#isLive) return;
    this.#isLive = isLive;
    if (!isLive || target === null) {
      if (this.#isNear()) this.#set(isLive ? 'follows' : 'stays');
      return;
    }
    // Read on from a link: what joins it to the newest is not in the list yet, and the end of what there was before is not that of the room.
    requestAnimationFrame(() => this.#isLive && this.#isNear() && this.#set('follows'));
  }

  /** Goes to the end, and along with it. */
  follow(): void {
    if (this.stance.get() === 'opening') return; // there, unless it is on its way to a message
    this.stance.set('follows');
    this.#toEnd();
  }

  /** Goes along no more: whoever unfolds a long message reads on from its beginning. */
  readonly stay = (): void => this.#set('stays');

  /** Waits until the list has shown what it opens at; it is not seen before it has its place. */
  #open(left: AbortSignal): void {
    if (left.aborted) return;
    if (!this.#hasOpened()) {
      requestAnimationFrame(() => this.#open(left));
      return;
    }
    const isAtEnd = this.#target === null || this.#away() <= nearPx;
    this.stance.set(isAtEnd && this.#isLive ? 'follows' : 'stays');
    if (this.#target === null) this.#toEnd(); // where rows are higher than it thought, it opens above its end
  }

  #hasOpened(): boolean {
    const seq = this.#target;
    const row = this.#box?.querySelector(`.bubble-row${seq === null ? '' : `[data-seq="${seq}"]`}`);
    if (!this.#box || !row || getComputedStyle(row).visibility === 'hidden') return false;
    const [at, sight] = [row.getBoundingClientRect(), this.#box.getBoundingClientRect()];
    return seq === null || (at.bottom > sight.top && at.top < sight.bottom);
  }

  #scrolled(): void {
    const top = this.#box?.scrollTop ?? 0;
    // What gets lower takes the reader up as well, but to the end.
    const wentUp = top < this.#top && this.#away() > 1;
    this.#top = top;
    if (wentUp && this.#isByReader()) {
      this.#heldUntil = performance.now() + heldMs;
      if (!this.#isNear()) this.#set('stays');
      return;
    }
    if (this.#isNear()) this.#set(this.#isLive ? 'follows' : 'stays');
    // The list itself goes up too, by what a row is lower than it thought.
    if (wentUp || !this.#isNear()) this.#goAlong();
  }

  /** A list that measures new rows scrolls by itself; without a hand, as by a search in the page, it is left when it is calm. */
  #isByReader(): boolean {
    const now = performance.now();
    return now - this.#handAt < busyMs || now - this.#grewAt > busyMs;
  }

  /** The box has another size, or what is in it. */
  #grew(): void {
    if (!this.#box?.isConnected) return; // on its way out
    this.#grewAt = performance.now();
    if (this.#isNear() && this.#isLive) this.#set('follows');
    this.#goAlong();
  }

  /** To the end, or where the list is held, when it no longer is: who has not gone on by then goes along. */
  #goAlong(): void {
    if (this.stance.get() !== 'follows') return;
    const held = this.#heldUntil - performance.now();
    if (held < 0) this.#toEnd();
    else setTimeout(() => this.#goAlong(), held + 1);
  }

  #away(): number {
    const { scrollHeight = 0, scrollTop = 0, clientHeight = 0 } = this.#box ?? {};
    return scrollHeight - scrollTop - clientHeight;
  }

  #isNear(): boolean {
    return this.#away() <= nearPx;
  }

  #toEnd(): void {
    if (!this.#box) return;
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#top = this.#box.scrollTop;
  }

  #set(stance: Stance): void {
    if (this.stance.get() !== 'opening') this.stance.set(stance);
  }
}
