import { type AckFrame, type ErrorFrame, FRAME_BYTES, sendFrame } from '../protocol/frames.js';
import { jitter } from '../transport/backoff.js';
import { concernsConnection, localError, RoomlogError } from './error.js';
import type { Keeper } from './keeper.js';
import type { Session, Subscriber } from './session.js';

/** How many sends of one room may wait for their answers at a time. */
const WINDOW = 64;
/** How long a send may wait to go out by itself. A tag is remembered for longer than that (TAG-7). */
const EXPIRY_MS = 7 * 24 * 3_600_000;
/** How often in a row the server may find a room's sends out of order until they are numbered anew. */
const MAX_DISORDER = 5;

/** One send that is not stored yet, or not known to be. */
export interface Entry {
  readonly tag: string;
  readonly type: string;
  /** While it never went out, more may be put into a set of state. */
  data: unknown;
  /** `data` as it was when the send was made. */
  json: string;
  /** Of a set of state: it is refused where a key that it names was set behind this seq. */
  readonly ifSeq?: number | undefined;
  at: Date;
  /** Its place in the room's sends, also across reloads. */
  order: number;
  /** Whose send it is; undefined until a user is known. It is never sent as anybody else's. */
  author: string | undefined;
  state: 'queued' | 'sending' | 'failed';
  error: RoomlogError | undefined;
  /** How many times it went out without a definite answer: above 0 it may be stored. */
  unsure: number;
  /** Not kept: whoever sends it keeps it, and sends it anew on another connection. */
  fleeting?: boolean;
}

/** A send under way: slot `n` of this connection (SEND-2). */
interface Flight {
  id: number;
  n: number;
  entry: Entry;
}

/** What an outbox tells its room. */
export interface OutboxEvents {
  /** An entry looks different, came or went. */
  changed(entry: Entry): void;
  /** An entry is stored; it has left the outbox. */
  acked(entry: Entry, ack: AckFrame): void;
  /** An entry was refused for good, and stays until it is retried or discarded. */
  failed(entry: Entry, error: RoomlogError): void;
}

/**
 * A room's sends, in the order in which they were made. They go out numbered and pipelined; what is refused for now
 * goes out again first, and what was behind it after it (SEND-4); after a reconnect everything unanswered goes
 * again, from n = 1 (SEND-7).
 */
export class Outbox {
  /** Unsettled sends in order, failed ones among them. */
  readonly entries: Entry[] = [];

  readonly #room: string;
  readonly #session: Session;
  readonly #owner: Subscriber;
  readonly #keeper: Keeper;
  readonly events: OutboxEvents;
  /** In the order of n. An entry that a page settled meanwhile stays until its slot is answered. */
  #flights: Flight[] = [];
  #nextN = 1;
  #window = WINDOW;
  #refusals = 0;
  #disorder = 0;
  /** Sends nothing until the flights below the refused one are answered. */
  #draining = false;
  #hold: ReturnType<typeof setTimeout> | undefined;

  constructor(room: string, session: Session, owner: Subscriber, keeper: Keeper, events: OutboxEvents) {
    this.#room = room;
    this.#session = session;
    this.#owner = owner;
    this.#keeper = keeper;
    this.events = events;
  }

  /** The unsettled send with this tag. */
  find(tag: string): Entry | undefined {
    return this.entries.find(entry => entry.tag === tag);
  }

  /** Queues a send, behind all others. */
  add(send: Pick<Entry, 'tag' | 'type' | 'data' | 'json' | 'ifSeq'>): Entry {
    const entry: Entry = {
      ...send,
      at: new Date(),
      order: this.#keeper.nextOrder(),
      author: this.#session.user,
      state: 'queued',
      error: undefined,
      unsure: 0,
    };
    this.#queue(entry);
    return entry;
  }

  /** The user is known: sends made before are theirs, and what is theirs and waits is kept. */
  claim(user: string): void {
    for (const entry of this.entries) {
      entry.author ??= user;
      if (entry.state !== 'failed') this.#keeper.keep(this.#room, entry);
    }
  }

  /** Queues a failed send again, behind all others. */
  retry(entry: Entry): void {
    this.entries.splice(this.entries.indexOf(entry), 1);
    entry.state = 'queued';
    entry.error = undefined;
    entry.at = new Date();
    entry.order = this.#keeper.nextOrder();
    this.#queue(entry);
  }

  #queue(entry: Entry): void {
    this.entries.push(entry);
    this.#session.pendingChanged(1);
    this.events.changed(entry);
    this.#pump();
    // Where it has gone out already it is kept once, as tried.
    if (entry.state === 'queued') this.#keeper.keep(this.#room, entry);
  }

  /** Takes a send back: false if it may be stored. */
  discard(entry: Entry): boolean {
    if (!this.entries.includes(entry)) return false;
    if (entry.state === 'sending' || (entry.state === 'queued' && entry.unsure > 0)) return false;
    this.#remove(entry);
    this.events.changed(entry);
    return true;
  }

  /** An event of one's own with this tag was seen in a page: stored, whatever the answer will be (ACK-4). */
  stored(tag: string): Entry | undefined {
    const entry = this.find(tag);
    if (entry) this.#remove(entry);
    return entry;
  }

  /** Connected, or what was kept has been looked for. */
  up(): void {
    this.#pump();
  }

  /** Nothing under way will be answered; n begins at 1 again. */
  down(): void {
    clearTimeout(this.#hold);
    this.#hold = undefined;
    for (const { entry } of this.#flights) this.#requeue(entry);
    this.#flights = [];
    this.#nextN = 1;
    this.#window = WINDOW;
    this.#refusals = this.#disorder = 0;
    this.#draining = false;
  }

  /** No connection will come: every send fails, and can be retried. */
  give(up: RoomlogError): void {
    for (const entry of [...this.entries]) if (entry.state !== 'failed') this.#fail(entry, up);
  }

  /** A send is stored. Known by its tag too, in case its slot was given up. */
  ack(frame: AckFrame): void {
    const flight = this.#land(frame.id);
    this.#window = Math.min(WINDOW, this.#window * 2);
    this.#refusals = this.#disorder = 0;
    const entry = flight?.entry ?? this.find(frame.tag);
    if (entry && this.entries.includes(entry)) {
      this.#remove(entry);
      this.events.acked(entry, frame);
    }
    this.#pump();
  }

  /** A send was refused, for now or for good. */
  refused(frame: ErrorFrame): void {
    if (concernsConnection(frame.code)) return; // the link closes; nothing is known of the send
    const index = this.#flights.findIndex(flight => flight.id === frame.id);
    const flight = this.#flights[index];
    if (!flight) {
      this.#refusedLate(frame);
      return;
    }
    if (frame.code !== 'outcome_unknown') flight.entry.unsure--;
    if (frame.retryable) {
      this.#backOff(index, flight.n, frame);
    } else {
      this.#flights.splice(index, 1); // its n is used up (SEND-5)
      if (this.entries.includes(flight.entry)) this.#refuse(flight.entry, new RoomlogError(frame));
    }
    this.#pump();
  }

  /** A slot that was given up when an earlier one was refused: now it is known that it stored nothing (ACK-7). */
  #refusedLate(frame: ErrorFrame): void {
    const entry = frame.tag === undefined ? undefined : this.find(frame.tag);
    if (entry?.state === 'queued' && entry.unsure > 0 && frame.code !== 'outcome_unknown') entry.unsure--;
  }

  /** The server takes `n` next, and nothing above it (SEND-4). */
  #backOff(index: number, n: number, frame: ErrorFrame): void {
    for (const { entry } of this.#flights.splice(index)) this.#requeue(entry);
    this.#nextN = n;
    this.#window = 1;
    if (frame.code === 'out_of_order') {
      if (this.#flights.length > 0) {
        this.#draining = true;
        return;
      }
      if (++this.#disorder > MAX_DISORDER) {
        this.#session.redial('The order was lost.');
        return;
      }
    }
    const wait = Math.max(frame.retry_after_ms ?? 0, jitter(this.#refusals++));
    clearTimeout(this.#hold);
    this.#hold = setTimeout(() => {
      this.#hold = undefined;
      this.#pump();
    }, wait);
  }

  #pump(): void {
    if (this.#draining && this.#flights.length === 0) this.#draining = false;
    if (this.#hold !== undefined || this.#draining || !this.#session.isUp || !this.#keeper.hasLooked) return;
    for (const entry of this.entries) {
      if (this.#flights.length >= this.#window) return;
      if (entry.state === 'queued') this.#launch(entry);
    }
  }

  #launch(entry: Entry): void {
    const refusal = this.#unfit(entry);
    if (refusal) {
      this.#fail(entry, refusal);
      return;
    }
    const n = this.#nextN;
    const frame = (id: number) => sendFrame(id, n, { room: this.#room, ...entry });
    // A frame above the limit would cost the connection (CLOSE-5), each time anew.
    const { length } = new TextEncoder().encode(frame(Number.MAX_SAFE_INTEGER));
    if (length > (this.#session.welcome?.limits.frame_bytes ?? FRAME_BYTES)) {
      this.#refuse(entry, localError('message_too_large', 'The message is too large.', false));
      return;
    }
    this.#nextN++;
    entry.state = 'sending';
    if (entry.unsure++ === 0) this.#keeper.keep(this.#room, entry);
    const id = this.#session.request(this.#owner, frame);
    this.#flights.push({ id, n, entry });
    this.events.changed(entry);
  }

  /** Why an entry may not go out on this connection. What is kept of it stays as it is. */
  #unfit({ author, at }: Entry): RoomlogError | undefined {
    if (author !== this.#session.user) {
      return localError('author_mismatch', 'Another user wrote this.', false);
    }
    if (Date.now() - at.getTime() < EXPIRY_MS) return undefined;
    return localError('expired', 'This waited for over 7 days.', true);
  }

  #land(id: number | undefined): Flight | undefined {
    const index = this.#flights.findIndex(flight => flight.id === id);
    return index < 0 ? undefined : this.#flights.splice(index, 1)[0];
  }

  #requeue(entry: Entry): void {
    if (!this.entries.includes(entry) || entry.state !== 'sending') return;
    entry.state = 'queued';
    this.events.changed(entry);
  }

  #fail(entry: Entry, error: RoomlogError): void {
    entry.state = 'failed';
    entry.error = error;
    this.#session.pendingChanged(-1);
    this.events.failed(entry, error);
  }

  /** Refused for good: that is kept too, with its reason. */
  #refuse(entry: Entry, error: RoomlogError): void {
    this.#fail(entry, error);
    this.#keeper.keep(this.#room, entry);
  }

  #remove(entry: Entry): void {
    this.#keeper.forget(this.#room, entry);
    this.entries.splice(this.entries.indexOf(entry), 1);
    if (entry.state !== 'failed') this.#session.pendingChanged(-1);
  }
}
