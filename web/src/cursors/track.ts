/** A place in the area: 0 is its left or upper edge, 1 its right or lower one, whatever its size on a screen. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

interface Sample extends Point {
  /** When it came, by `performance.now()`. */
  readonly at: number;
}

/** How far behind the updates a pointer is drawn: longer than one update takes to come after the other, at 20 a second. */
export const behindMs = 75;

/** After a longer silence a pointer was at rest; it sets out this long before the update that says so. */
const restMs = 130;
const setOutMs = 50;

/** Where a pointer was said to be, and from that where it is drawn in between. */
export class Track {
  readonly #samples: Sample[] = [];
  #newest: Sample;

  /** Begins with an update that came at this time, by `performance.now()`. */
  constructor({ x, y }: Point, at: number) {
    this.#newest = { x, y, at };
    this.#samples.push(this.#newest);
  }

  /** Notes the next update. */
  add({ x, y }: Point, at: number): void {
    const last = this.#newest;
    if (at - last.at > restMs) this.#samples.push({ ...last, at: at - setOutMs });
    this.#newest = { x, y, at: Math.max(at, last.at + 1) };
    this.#samples.push(this.#newest);
  }

  /** The place of the last update. */
  get newest(): Point {
    return { x: this.#newest.x, y: this.#newest.y };
  }

  /** Whether nothing moves any more at this time. */
  restsAt(time: number): boolean {
    return time >= this.#newest.at;
  }

  /**
   * The place at a time that is never before one asked for earlier. A curve through all updates: it takes each one's
   * speed from what came before, so that it needs to know nothing of what follows, and never turns at an angle.
   */
  at(time: number): Point {
    const samples = this.#samples;
    while (samples.length > 3 && (samples[2]?.at ?? time) <= time) samples.shift();
    const next = samples.findIndex(sample => sample.at > time);
    const to = samples[next];
    if (!to) return this.newest;
    const from = samples[next - 1];
    if (!from) return { x: to.x, y: to.y }; // before the first update
    const span = to.at - from.at;
    const u = (time - from.at) / span;
    const before = samples[next - 2];
    // What the speed before would make of this span.
    const carried = before ? span / (from.at - before.at) : 0;
    const along = (axis: 'x' | 'y'): number => {
      const way = to[axis] - from[axis];
      const entry = before ? (from[axis] - before[axis]) * carried : 0;
      // The cubic with these ends, this speed of entry, and the speed of the span itself at its end.
      return from[axis] + entry * u + (2 * way - 2 * entry) * u * u + (entry - way) * u * u * u;
    };
    return { x: clamp(along('x')), y: clamp(along('y')) };
  }
}

/** Reads a place that somebody's program broadcast; null where it is none. */
export function pointOf(data: unknown): Point | null {
  const { x, y } = (data ?? {}) as Partial<Point>;
  if (!Number.isFinite(x) || !Number.isFinite(y)) return null;
  return { x: clamp(Number(x)), y: clamp(Number(y)) };
}

/** The nearest number from 0 to 1. */
export function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
