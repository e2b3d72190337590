import type { ResetReason } from '../protocol/codes.js';
import type { Page, WireEvent } from '../protocol/frames.js';
import { redacted } from './change.js';
import type { Place } from './grammar.js';
import { TestState } from './state.js';

/** What of a send is remembered by its tag (TAG-3). */
interface Remembered {
  event: WireEvent;
  /** What the sender sent: type and data as JSON. */
  sent: string;
}

/** The most events of a page (JOIN-3). */
const MAX_PAGE = 500;

/** How many events a page has that was asked for with this limit (JOIN-3, POLL-3). */
export const pageSize = (limit?: number): number => Math.min(limit || 100, MAX_PAGE);

/** Whether it is of the log layer, which alone history lists (STATE-12, DOC-12). */
export const isListed = ({ type }: WireEvent): boolean => type !== 'state' && type !== 'doc';

/** What a send would store, for comparing repeats. */
export const sentAs = (type: string, data: unknown): string => JSON.stringify([type, data]);

let marks = 0;

/** A mark as a store draws them: never the same twice (POS-4). */
function newMark(): string {
  marks++;
  return (Math.imul(marks, 0x9e3779b1) >>> 0 || 1).toString(16).padStart(8, '0');
}

/** One numbering of one room: its events, each with its mark, and what was sent under which tag. */
export class Log {
  readonly room: string;
  readonly epoch: string;
  /** When the room came to exist, RFC 3339; undefined while nobody has made it or written to it (ROOM-8). */
  createdAt: string | undefined;
  floor = 1;
  /** The events from the floor on. */
  events: WireEvent[] = [];
  /** By seq, also of events that were pruned (RET-1). */
  readonly #marks: string[] = [];
  readonly #tags = new Map<string, Remembered>();
  readonly state = new TestState();

  constructor(room: string, epoch: string) {
    this.room = room;
    this.epoch = epoch;
  }

  get head(): number {
    return this.floor - 1 + this.events.length;
  }

  /** The position of a seq (POS-2). */
  position(seq: number): string {
    return seq === 0 ? `${this.epoch}:0` : `${this.epoch}:${seq}:${this.#marks[seq]}`;
  }

  /** Stores an event. */
  append(event: Omit<WireEvent, 'room' | 'seq'>, sent: string): WireEvent {
    const stored = { room: this.room, seq: this.head + 1, ...event };
    this.createdAt ??= event.at;
    if (stored.type === 'delete' && stored.target !== undefined) this.#redact(stored);
    this.events.push(stored);
    this.state.take(stored);
    this.#marks[stored.seq] = newMark();
    this.#tags.set(`${stored.tag} ${stored.author}`, { event: stored, sent });
    return stored;
  }

  /** Nothing is left of what was deleted, also for a repeat of its send (CHG-7). */
  #redact(by: WireEvent): void {
    this.events = this.events.map(event => redacted(event, by));
    for (const known of this.#tags.values()) known.event = redacted(known.event, by);
  }

  /** What an author sent under a tag (TAG-5). */
  find(author: string, tag: string): Remembered | undefined {
    return this.#tags.get(`${tag} ${author}`);
  }

  /** Forgets the events below a floor; head, marks and tags stay (RET-1, TAG-7). */
  prune(floor: number): void {
    const to = Math.min(Math.max(floor, this.floor), this.head + 1);
    this.events = this.events.slice(to - this.floor);
    this.floor = to;
  }

  /** The same room under another numbering, with the oldest events up to `head`. */
  renumbered(epoch: string, head: number): Log {
    const next = new Log(this.room, epoch);
    next.floor = this.floor;
    next.#marks[this.floor - 1] = newMark(); // where whoever has seen all that was pruned stands
    next.createdAt = this.createdAt;
    for (const [key, entry] of this.state.entries)
      if (entry.seq < this.floor) next.state.entries.set(key, entry);
    for (const event of this.events) {
      if (event.seq > head) break;
      next.append(event, this.find(event.author, event.tag)?.sent ?? sentAs(event.type, event.data));
    }
    // Tags outlive the events that were pruned (TAG-7), here too.
    for (const [tag, known] of this.#tags) {
      if (known.event.seq <= head && !next.#tags.has(tag)) next.#tags.set(tag, known);
    }
    return next;
  }

  /** Why a position cannot be continued (RESET-1); undefined if it can. `replay` is the most events to catch up on. */
  refuses({ epoch, seq, mark }: Place, replay = Number.POSITIVE_INFINITY): ResetReason | undefined {
    if (epoch !== undefined && epoch !== this.epoch) return 'epoch';
    if (seq > this.head) return 'ahead';
    if (seq < this.floor - 1) return 'pruned';
    if (this.head - seq > replay) return 'too_far';
    return mark !== undefined && mark !== this.#marks[seq] ? 'diverged' : undefined;
  }

  /** The events of `(prev, seq]`, as far as they are there (PAGE-1). */
  span(prev: number, seq: number): Page {
    const from = Math.min(Math.max(prev, this.floor - 1), this.head);
    const to = Math.min(Math.max(seq, from), this.head);
    const events = this.events.slice(from - this.floor + 1, to - this.floor + 1);
    return { prev: from, seq: to, position: this.position(to), events };
  }

  /** The log layer of `(prev, seq]` and what is still true of the others: of state the latest of each key (STATE-9), or all, and whether there are docs. */
  conflated(prev: number, seq: number, isWhole = prev < this.state.forgotten): Page {
    const page = this.span(prev, seq);
    const events = page.events.filter(isListed);
    return {
      ...page,
      events,
      ...(isWhole
        ? this.state.whole()
        : events.length < page.events.length && { state: this.state.between(page.prev, page.seq) }),
      ...(page.events.some(({ type }) => type === 'doc') && { docs: true }),
    };
  }

  /** The newest `limit` events of the log layer up to a seq: it looks back over the others (JOIN-3, STATE-12). */
  newest(limit: number, last = this.head): Page {
    const listed = this.events.filter(event => isListed(event) && event.seq <= last);
    const page = this.span((listed.at(-limit)?.seq ?? this.floor) - 1, last);
    return { ...page, events: page.events.filter(isListed) };
  }

  /** The latest page, with the map of its seq (STATE-10). */
  latest(limit: number): Page {
    return this.conflated(this.newest(limit).prev, this.head, true);
  }

  /** What every answer about a room says of it. */
  get bounds(): { epoch: string; floor: number; head: number } {
    return { epoch: this.epoch, floor: this.floor, head: this.head };
  }
}
