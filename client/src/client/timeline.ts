import type { AckFrame, Page } from '../protocol/frames.js';
import { type Change, changed, isChange, isOf, mapped, toMessage } from './change.js';
import type { Entry } from './outbox.js';
import { Derived } from './readable.js';
import type { Message } from './types.js';

/** The type of the events that a timeline shows. */
export const MESSAGE = 'message';

/** How many acked messages are kept without having come in a page: only a room that is not attached has many. */
const MAX_ACKED = 1_000;
/** How many changes are kept for pages that were read before them. */
const MAX_CHANGES = 1_000;

type Rows = readonly Message<unknown>[];

/** A page; with `head` where it was read as present content (CHG-9): changes up to there are in its messages. */
export type ShownPage = Page & { readonly head?: number };

/** The changes in a page that are not in its messages. */
function changesOf({ events, head = 0 }: ShownPage): (Change & { seq: number })[] {
  return events
    .filter(({ type, seq }) => isChange(type) && seq > head)
    .map(event => ({ ...event, at: new Date(event.at) }));
}

/**
 * What a room shows: the window of the log in the order of seq, then what was acked but has not come in a page, then
 * what is not stored. A message keeps its tag through all three, and is the same object until it changes. Changes of messages are
 * no rows: those of the log are in their message for good, those on their way are laid over it.
 */
export class Timeline {
  readonly list: Derived<Rows>;
  /** Whether messages that were deleted are shown. */
  readonly tombstones: boolean;
  /** The window begins behind this seq. */
  base = 0;

  /** The window ends with this seq. */
  #end = 0;
  /** How many messages the window may hold: what was asked for in addition stays. */
  #bound: number;
  readonly #window: number;
  /** The window, in the order of seq: parts of messages that stream are laid over its rows. */
  log: Rows = [];
  #acked: (Message<unknown> & { seq: number })[] = [];
  /** The newest changes of the log. */
  #changes: (Change & { seq: number })[] = [];
  readonly #unsent: readonly Entry[];
  readonly #author: () => string;
  readonly #shown = new WeakMap<Entry, Message<unknown>>();
  /** By change on its way: the message it was laid over, and what came of that. */
  readonly #laid = new WeakMap<object, { over: Message<unknown>; made: Message<unknown> }>();

  /**
   * `unsent` is the outbox's own list; `author` tells who the client's user is; `window` is how many messages are kept; `tombstones`
   * whether those that were deleted are shown.
   */
  constructor(unsent: readonly Entry[], author: () => string, window: number, tombstones: boolean) {
    this.#window = this.#bound = window;
    this.#unsent = unsent;
    this.#author = author;
    this.tombstones = tombstones;
    this.list = new Derived(() => {
      const { ours } = this;
      const list = [...this.log, ...ours.filter(({ type }) => type === MESSAGE)];
      for (const change of ours) this.#lay(list, change);
      return tombstones ? list : list.filter(({ deleted }) => !deleted);
    });
  }

  /** What is not in the log yet, of any type: what was acked in the order of seq, then what is not stored. */
  get ours(): Rows {
    return [...this.#acked, ...this.#unsent.map(entry => this.show(entry))];
  }

  /** Lays a change of one's own that is on its way over its message; one that failed is only told of. */
  #lay(list: Message<unknown>[], change: Message<unknown>): void {
    const at = isChange(change.type) ? list.findIndex(each => isOf(change, each)) : -1;
    const over = list[at];
    if (!over) return;
    let laid = this.#laid.get(change);
    if (laid?.over !== over) {
      const { delivery } = change;
      const made = { ...(delivery === 'failed' ? over : changed(over, change, this.#author())) };
      if (delivery !== 'sent') made.change = change;
      laid = { over, made };
      this.#laid.set(change, laid);
    }
    list[at] = laid.made;
  }

  /** An unsent message as it is shown. */
  show(entry: Entry): Message<unknown> {
    let message = this.#shown.get(entry);
    if (!message) {
      const { tag, type, data, at, state, error } = entry;
      const author = entry.author ?? this.#author();
      const event = { tag, seq: null, type, author, data, at };
      message = { ...toMessage(event, author), delivery: state, error };
      this.#shown.set(entry, message);
    }
    return message;
  }

  /** An unsent message came, went or looks different. */
  changed(entry: Entry): void {
    this.#shown.delete(entry);
    this.list.invalidate();
  }

  /** A message was acked; its page is still to come. */
  acked(entry: Entry, ack: AckFrame): Message<unknown> {
    const { seq, at } = ack;
    const sent = { ...this.show(entry), seq, at: new Date(at), delivery: 'sent' as const, error: undefined };
    // What came in a page before it was found in the storage is shown already.
    if (seq > this.#end) this.#acked = [...this.#acked, sent].sort((a, b) => a.seq - b.seq).slice(-MAX_ACKED);
    this.list.invalidate();
    return sent;
  }

  /** Begins the window anew behind `seq`. On a reset what was acked in the old numbering goes too. */
  replace(seq: number, isReset: boolean): void {
    this.base = this.#end = seq;
    this.log = [];
    this.#changes = [];
    this.#bound = this.#window;
    if (isReset) this.#acked = [];
    this.list.invalidate();
  }

  /** Takes a page at the window's end. */
  append(page: ShownPage): void {
    this.log = [...this.log, ...this.rows(page)];
    for (const change of changesOf(page)) {
      this.log = this.apply(this.log, change);
      // Of what was deleted nothing is kept.
      const kept = this.#changes.filter(
        each =>
          each.type !== 'edit' || change.type === 'reaction' || !isOf(change, { ...each, seq: each.target }),
      );
      this.#changes = [...kept, change].slice(-MAX_CHANGES);
    }
    this.#end = page.seq;
    this.#trim();
    // The page has shown these, or they lie before the window.
    this.#acked = this.#acked.filter(message => message.seq > page.seq);
    this.list.invalidate();
  }

  /** The messages of a page, with what is known to have changed in them since it was read. */
  rows(page: ShownPage): Rows {
    let rows: Rows = page.events
      .filter(({ type }) => type === MESSAGE)
      .map(event => toMessage(event, this.#author()));
    for (const change of [...changesOf(page), ...this.#changes]) {
      if (change.seq > (page.head ?? 0)) rows = this.apply(rows, change);
    }
    return rows;
  }

  /** These messages after a change; the same array where it is of none of them. */
  apply(rows: Rows, change: Change): Rows {
    return mapped(rows, row => changed(row, change, this.#author()));
  }

  /** Drops the oldest, a tenth of the window at a time: they can be loaded again. */
  #trim(): void {
    if (this.log.length <= this.#bound * 1.1) return;
    this.log = this.log.slice(-this.#bound);
    this.base = (this.log[0]?.seq as number) - 1;
  }

  /** Takes a page of history before the window, unless that has moved since it was asked for. */
  prepend(page: ShownPage): void {
    if (page.seq !== this.base) return;
    this.log = [...this.rows(page), ...this.log];
    this.#bound = Math.max(this.#bound, this.#window + this.log.length);
    this.base = page.prev;
    this.list.invalidate();
  }
}
