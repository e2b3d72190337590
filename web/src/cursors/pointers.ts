import type { Broadcast } from 'roomlog';
import { type Drawn, drawPointer, type Layers } from './drawn.ts';
import { edgeOf, type Size } from './edge.ts';
import { behindMs, type Point, pointOf, Track } from './track.ts';

/** After how long a pointer that does not move is drawn paler. */
const idleAfterMs = 10_000;

/** One person's pointer. */
interface Pointer {
  readonly user: string;
  readonly drawn: Drawn;
  readonly track: Track;
  /** The connection that moved it last: a person with two windows has one pointer. */
  connection: string;
  movedAt: number;
  /** Its connection has ended. It stays for as long as its person is in the room. */
  ended: boolean;
  /** Where it is drawn. */
  shown: Point;
}

/** Draws everybody's pointer, beside React: at 20 updates a second and person, by transforms alone, and only while something moves. */
export class Pointers {
  /** How many updates came so far. */
  updates = 0;

  readonly #layers: Layers;
  readonly #self: string;
  readonly #pointers = new Map<string, Pointer>();
  readonly #moving = new Set<Pointer>();
  readonly #stillness = matchMedia('(prefers-reduced-motion: reduce)');
  readonly #resized = new ResizeObserver(() => this.#measure());
  readonly #aging = setInterval(() => this.#age(), 1_000);
  #own: Drawn | undefined;
  #ownAt: Point | undefined;
  #present: ReadonlySet<string> = new Set();
  #frame = 0;
  #window: Size = { width: 0, height: 0 };
  #area = { left: 0, top: 0, width: 0, height: 0 };

  /** @param self the user of this page */
  constructor(layers: Layers, self: string) {
    this.#layers = layers;
    this.#self = self;
    this.#resized.observe(layers.frame);
    this.#resized.observe(layers.area);
    layers.frame.addEventListener('scroll', this.#measure, { passive: true });
    this.#measure();
  }

  /** Ends it: nothing is drawn any more. */
  end(): void {
    cancelAnimationFrame(this.#frame);
    clearInterval(this.#aging);
    this.#resized.disconnect();
    this.#layers.frame.removeEventListener('scroll', this.#measure);
    for (const { drawn } of this.#pointers.values()) drawn.remove();
    this.#pointers.clear();
    this.#moving.clear();
    this.hideOwn();
  }

  /** Takes what somebody broadcast. */
  take({ user, connection, data }: Broadcast): void {
    const known = this.#pointers.get(user);
    const point = pointOf(data);
    if (point) {
      this.updates++;
      if (known) this.#move(known, connection, point);
      else this.#begin(user, connection, point);
    } else if (known?.connection === connection) {
      known.ended = true;
      this.#settle(known);
    }
  }

  /** Says who is in the room. The pointers of all others go, unless their connection is still there. */
  keep(users: ReadonlySet<string>): void {
    this.#present = users;
    for (const pointer of this.#pointers.values()) this.#settle(pointer);
  }

  /** Shows the pointer of this page's own user, which nobody sees otherwise: a finger, or keys. */
  showOwn(point: Point): void {
    this.#own ??= drawPointer(this.#layers, 'You', this.#self);
    this.#own.setState('own');
    this.#ownAt = point;
    this.#place(this.#own, point);
  }

  /** Takes it away. */
  hideOwn(): void {
    this.#own?.remove();
    this.#own = undefined;
    this.#ownAt = undefined;
  }

  /** Scrolls to a pointer; false where that person has none. */
  reveal(user: string): boolean {
    const pointer = this.#pointers.get(user);
    if (!pointer) return false;
    this.scrollTo(pointer.track.newest, true);
    pointer.drawn.call();
    return true;
  }

  /** Scrolls so far that a place is in sight: to the middle, or not more than needed. */
  scrollTo({ x, y }: Point, middle = false): void {
    const { frame } = this.#layers;
    const left = this.#area.left + x * this.#area.width;
    const top = this.#area.top + y * this.#area.height;
    const by = (at: number, size: number): number => {
      if (middle) return at - size / 2;
      const room = Math.min(48, size / 4);
      return at < room ? at - room : Math.max(0, at - size + room);
    };
    const behavior = middle && !this.#stillness.matches ? 'smooth' : 'instant';
    frame.scrollBy({ left: by(left, this.#window.width), top: by(top, this.#window.height), behavior });
  }

  #begin(user: string, connection: string, shown: Point): void {
    const label = user === this.#self ? 'You, elsewhere' : user;
    const drawn = drawPointer(this.#layers, label, user, () => this.reveal(user));
    const movedAt = performance.now();
    const track = new Track(shown, movedAt);
    this.#pointers.set(user, { user, drawn, track, connection, movedAt, ended: false, shown });
    drawn.setState('moving');
    this.#place(drawn, shown);
  }

  #move(pointer: Pointer, connection: string, point: Point): void {
    const now = performance.now();
    const { newest } = pointer.track;
    pointer.connection = connection;
    pointer.ended = false;
    // What is said once more after a reconnect is as still as it was.
    if (newest.x !== point.x || newest.y !== point.y) {
      pointer.movedAt = now;
      pointer.track.add(point, now);
      this.#moving.add(pointer);
      this.#frame ||= requestAnimationFrame(this.#draw);
    }
    pointer.drawn.setState(this.#isIdle(pointer) ? 'idle' : 'moving');
  }

  readonly #draw = (now: number): void => {
    const time = now - behindMs;
    for (const pointer of this.#moving) {
      const atOnce = this.#stillness.matches || pointer.track.restsAt(time);
      pointer.shown = atOnce ? pointer.track.newest : pointer.track.at(time);
      this.#place(pointer.drawn, pointer.shown);
      if (atOnce) this.#moving.delete(pointer);
    }
    this.#frame = this.#moving.size > 0 ? requestAnimationFrame(this.#draw) : 0;
  };

  #place(drawn: Drawn, { x, y }: Point): void {
    const { left, top, width, height } = this.#area;
    drawn.place(x * width, y * height, this.#area);
    drawn.point(edgeOf(left + x * width, top + y * height, this.#window), this.#window);
  }

  readonly #measure = (): void => {
    const { frame, area } = this.#layers;
    const outer = frame.getBoundingClientRect();
    const inner = area.getBoundingClientRect();
    this.#window = { width: frame.clientWidth, height: frame.clientHeight };
    this.#area = {
      left: inner.left - outer.left - frame.clientLeft,
      top: inner.top - outer.top - frame.clientTop,
      width: inner.width,
      height: inner.height,
    };
    for (const { drawn, shown } of this.#pointers.values()) this.#place(drawn, shown);
    if (this.#own && this.#ownAt) this.#place(this.#own, this.#ownAt);
  };

  #age(): void {
    for (const pointer of this.#pointers.values()) this.#settle(pointer);
    // Where the edge is crowded, signs show initials alone.
    const signs = [...this.#pointers.values()].filter(({ drawn }) => drawn.isOut).length;
    this.#layers.edge.toggleAttribute('data-crowded', signs > 5);
  }

  /** Gives a pointer the look of its state, or takes it away. */
  #settle(pointer: Pointer): void {
    if (pointer.ended && !this.#present.has(pointer.user)) {
      pointer.drawn.remove();
      this.#pointers.delete(pointer.user);
      this.#moving.delete(pointer);
    } else if (pointer.ended) pointer.drawn.setState('away');
    else if (this.#isIdle(pointer)) pointer.drawn.setState('idle');
  }

  #isIdle({ movedAt }: Pointer): boolean {
    return performance.now() - movedAt >= idleAfterMs;
  }
}
