import type { AckFrame, Page, WireEvent } from '../protocol/frames.js';
import type { Entry } from './outbox.js';
import { Derived } from './readable.js';
import type { Message } from './types.js';

/** The type of the events that a timeline shows. */
export const MESSAGE = 'message';

/** How many acked messages are kept without having come in a page: only a room that is not attached has many. */
const MAX_ACKED = 1_000;

/** An event as a message. */
export function toMessage(event: WireEvent, own: boolean): Message<unknown> {
  return {
    tag: event.tag,
    seq: event.seq,
    type: event.type,
    author: event.author,
    own,
    data: event.data,
    at: new Date(event.at),
    delivery: 'sent',
    error: undefined,
  };
}

/**
 * What a room shows: the window of the log in the order of seq, then what was acked but has not come in a page, then
 * what is not stored. A message keeps its tag through all three, and is the same object until it changes.
 */
export class Timeline {
  readonly list: Derived<readonly Message<unknown>[]>;
  /** The window begins behind this seq. */
  base = 0;

  /** The window ends with this seq. */
  #end = 0;
  /** How many messages the window may hold: what was asked for in addition stays. */
  #bound: number;
  readonly #window: number;
  #log: Message<unknown>[] = [];
  #acked: (Message<unknown> & { seq: number })[] = [];
  readonly #unsent: readonly Entry[];
  readonly #author: () => string;
  readonly #shown = new WeakMap<Entry, Message<unknown>>();

  /** `unsent` is the outbox's own list; `author` tells who the client's user is; `window` is how many messages are kept. */
  constructor(unsent: readonly Entry[], author: () => string, window: number) {
    this.#window = this.#bound = window;
    this.#unsent = unsent;
    this.#author = author;
    this.list = new Derived(() => [
      ...this.#log,
      ...this.#acked,
      ...this.#unsent.filter(entry => entry.type === MESSAGE).map(entry => this.show(entry)),
    ]);
  }

  /** An unsent message as it is shown. */
  show(entry: Entry): Message<unknown> {
    let message = this.#shown.get(entry);
    if (!message) {
      const { tag, type, data, at, state, error } = entry;
      const author = entry.author ?? this.#author();
      message = { tag, seq: null, type, author, own: true, data, at, delivery: state, error };
      this.#shown.set(entry, message);
    }
    return message;
  }

  /** An unsent message came, went or looks different. */
  changed(entry: Entry): void {
    this.#shown.delete(entry);
    if (entry.type === MESSAGE) this.list.invalidate();
  }

  /** A message was acked; its page is still to come. */
  acked(entry: Entry, ack: AckFrame): Message<unknown> {
    const { seq, at } = ack;
    const sent = { ...this.show(entry), seq, at: new Date(at), delivery: 'sent' as const, error: undefined };
    // What came in a page before it was found in the storage is shown already.
    if (entry.type === MESSAGE) {
      if (seq > this.#end)
        this.#acked = [...this.#acked, sent].sort((a, b) => a.seq - b.seq).slice(-MAX_ACKED);
      this.list.invalidate();
    }
    return sent;
  }

  /** Begins the window anew behind `seq`. On a reset what was acked in the old numbering goes too. */
  replace(seq: number, isReset: boolean): void {
    this.base = this.#end = seq;
    this.#log = [];
    this.#bound = this.#window;
    if (isReset) this.#acked = [];
    this.list.invalidate();
  }

  /** Takes a page at the window's end. */
  append(page: Page, own: (event: WireEvent) => boolean): void {
    for (const event of page.events) if (event.type === MESSAGE) this.#log.push(toMessage(event, own(event)));
    this.#end = page.seq;
    this.#trim();
    // The page has shown these, or they lie before the window.
    this.#acked = this.#acked.filter(message => message.seq > page.seq);
    this.list.invalidate();
  }

  /** Drops the oldest, a tenth of the window at a time: they can be loaded again. */
  #trim(): void {
    if (this.#log.length <= this.#bound * 1.1) return;
    this.#log = this.#log.slice(-this.#bound);
    this.base = (this.#log[0]?.seq as number) - 1;
  }

  /** Takes a page of history before the window. False if the window has moved since it was asked for. */
  prepend(page: Page, own: (event: WireEvent) => boolean): boolean {
    if (page.seq !== this.base) return false;
    const older = page.events
      .filter(event => event.type === MESSAGE)
      .map(event => toMessage(event, own(event)));
    this.#log = [...older, ...this.#log];
    this.#bound = Math.max(this.#bound, this.#window + this.#log.length);
    this.base = page.prev;
    this.list.invalidate();
    return true;
  }
}
