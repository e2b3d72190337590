import type { Client, Unsubscribe } from 'roomlog';
import { type Feed, openFeed } from 'roomlog/feed';
import { type Columns, columnsOf, isPoint, type Point } from './series.ts';

/** How many points are shown: what one read of the log brings. */
const points = 500;
/** How often what moves is drawn for who asked for less motion, in milliseconds. */
const calmMs = 1_000;

/** A feed as the page shows it: what came is put side by side once a frame at most, however much has come; what is held stands still. */
export class Live {
  readonly feed: Feed<Point>;
  /** When the last point came, by `performance.now`; undefined before that. */
  heardAt: number | undefined;

  readonly #calm = matchMedia('(prefers-reduced-motion: reduce)');
  readonly #listeners = new Set<() => void>();
  readonly #stops: Unsubscribe[];
  #columns: Columns = columnsOf([]);
  #count = 0;
  #held = false;
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(client: Client, room: string) {
    this.feed = openFeed<Point>(client, room, { type: 'point', limit: points });
    this.#stops = [
      this.feed.subscribe(event => {
        if (event.via === 'live') this.#count++;
        const age = event.via === 'live' ? 0 : Math.max(0, Date.now() - event.at.getTime());
        this.heardAt = performance.now() - age;
      }),
      this.feed.events.subscribe(() => this.#soon()),
    ];
  }

  /** What is shown. */
  readonly get = (): Columns => this.#columns;

  readonly subscribe = (fn: () => void): Unsubscribe => {
    this.#listeners.add(fn);
    return () => void this.#listeners.delete(fn);
  };

  /** How many points came since this was asked last. */
  taken(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }

  /** Whether what is shown stands still; what comes meanwhile is shown when it goes on. */
  hold(held: boolean): void {
    if (this.#held === held) return;
    this.#held = held;
    if (!held) this.#show();
  }

  end(): void {
    for (const stop of this.#stops) stop();
    this.feed.close();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
  }

  #soon(): void {
    if (this.#frame !== 0 || this.#timer !== undefined) return;
    if (this.#calm.matches && this.#columns.times.length > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#show();
      }, calmMs);
      return;
    }
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#show();
    });
  }

  #show(): void {
    if (this.#held) return;
    this.#columns = columnsOf(
      this.feed.events
        .get()
        .map(({ data }) => data)
        .filter(isPoint),
    );
    for (const listener of [...this.#listeners]) listener();
  }
}
