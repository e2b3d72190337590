import type { Sides, SidesHost } from '../sides.js';
import { PartsPart } from './parts.js';
import { PresencePart } from './presence.js';
import { ReceiptsPart } from './receipts.js';
import { SignalsPart } from './signals.js';
import type { SideFrame } from './snapshot.js';

/** What the parts need of their room. */
export interface PartNeeds extends SidesHost {
  /** The values that they fill. */
  readonly sides: Sides;
  /** Says something of the room, with an id, so that a refusal is not taken for one of the room. Only while connected. */
  say(op: 'presence' | 'signal' | 'read' | 'sync', fields: object): void;
}

/** The sides of one room: who is here, what they show, who has read what. */
export class SidesPart {
  readonly presence: PresencePart;
  readonly signals: SignalsPart;
  readonly receipts: ReceiptsPart;
  readonly parts: PartsPart;
  readonly #host: SidesHost;
  readonly #sides: Sides;
  #user: string | undefined;

  constructor(host: SidesHost, sides: Sides) {
    const say: PartNeeds['say'] = (op, fields) =>
      host.session.tell(id => ({ op, id, room: host.room.id, ...fields }));
    const needs = { ...host, sides, say };
    this.#host = host;
    this.#sides = sides;
    this.#user = host.session.user;
    this.presence = new PresencePart(needs);
    this.signals = new SignalsPart(needs);
    this.receipts = new ReceiptsPart(needs);
    this.parts = new PartsPart(needs);
  }

  get #all() {
    const { presence, signals, receipts, parts } = this;
    return Object.entries({ presence, signals, receipts, parts });
  }

  /** The room is joined on this connection. What is another user's than before is forgotten. */
  joined(): void {
    const { user } = this.#host.session;
    if (this.#user !== undefined && this.#user !== user) for (const [, part] of this.#all) part.clear();
    this.#user = user;
    for (const [side, part] of this.#all) if (this.#sides.wanted.has(side)) part.joined();
  }

  /** No longer joined. */
  down(): void {
    for (const [, part] of this.#all) part.down();
  }

  /** A message is on its way. */
  sent(): void {
    this.signals.stop();
  }

  /** What the server says of a side. */
  frame(frame: SideFrame): void {
    if (frame.op === 'presence') this.presence.frame(frame);
    else if (frame.op === 'signals') this.signals.frame(frame);
    else if (frame.op === 'part') this.parts.frame(frame);
    else this.receipts.frame(frame);
  }
}
