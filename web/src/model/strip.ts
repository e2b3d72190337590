import { Value } from './value.ts';

/** How an event came: while it happened, or read from the log afterwards. */
export type Via = 'live' | 'replay';

/** One event as the strip sees it. */
export interface Received {
  readonly seq: number;
  readonly via: Via;
  readonly own: boolean;
  readonly author: string;
}

/** One seq of the strip; `missing` is a hole between two that came. */
export interface StripCell {
  readonly seq: number;
  readonly kind: Via | 'missing';
  readonly own: boolean;
  readonly author?: string;
}

/** What a pane received, counted, and the newest part of it cell by cell. */
export interface StripState {
  readonly cells: readonly StripCell[];
  /** Different seqs that came. */
  readonly received: number;
  readonly replayed: number;
  readonly own: number;
  /** Seqs between the first and the last that did not come. */
  readonly missing: number;
  /** Arrivals of a seq that had already come. The client drops those, so this stays 0. */
  readonly repeated: number;
  /** Arrivals of a seq lower than one that had already come. */
  readonly disordered: number;
  /** The highest seq that came; 0 before any. */
  readonly last: number;
}

const nothing: StripState = {
  cells: [],
  received: 0,
  replayed: 0,
  own: 0,
  missing: 0,
  repeated: 0,
  disordered: 0,
  last: 0,
};

/**
 * The record of the seqs that one pane received. It trusts nobody: holes, repeats and disorder are
 * counted from what arrives, so the strip would show a fault of the client or the server.
 */
export class Strip {
  readonly state = new Value<StripState>(nothing);
  readonly #shown: number;
  #bySeq = new Map<number, Received>();
  #first = 0;

  /** @param shown how many of the newest cells the state lists */
  constructor(shown = 120) {
    this.#shown = shown;
  }

  /** Notes the arrival of one event. */
  add(event: Received): void {
    const was = this.state.get();
    if (this.#bySeq.has(event.seq)) {
      this.state.set({ ...was, repeated: was.repeated + 1 });
      return;
    }
    this.#bySeq.set(event.seq, event);
    this.#first = was.received === 0 ? event.seq : Math.min(this.#first, event.seq);
    const last = Math.max(was.last, event.seq);
    const received = was.received + 1;
    this.state.set({
      cells: this.#cells(last),
      received,
      replayed: was.replayed + (event.via === 'replay' ? 1 : 0),
      own: was.own + (event.own ? 1 : 0),
      missing: last - this.#first + 1 - received,
      repeated: was.repeated,
      disordered: was.disordered + (event.seq < was.last ? 1 : 0),
      last,
    });
  }

  /** Forgets everything: the room's numbering began anew, or a part of it was let go on purpose. */
  restart(): void {
    this.#bySeq = new Map();
    this.state.set(nothing);
  }

  /** Counts what came in `(after, upTo]`. */
  between(after: number, upTo: number): { others: number; own: number; missing: number } {
    const count = { others: 0, own: 0, missing: 0 };
    for (let seq = after + 1; seq <= upTo; seq++) {
      const event = this.#bySeq.get(seq);
      count[event ? (event.own ? 'own' : 'others') : 'missing']++;
    }
    return count;
  }

  #cells(last: number): StripCell[] {
    const cells: StripCell[] = [];
    for (let seq = Math.max(this.#first, last - this.#shown + 1); seq <= last; seq++) {
      const event = this.#bySeq.get(seq);
      cells.push(
        event
          ? { seq, kind: event.via, own: event.own, author: event.author }
          : { seq, kind: 'missing', own: false },
      );
    }
    return cells;
  }
}

/** The strip in words, such as "412 received, 14 replayed, 0 missing". */
export function stripWords(s: StripState): string {
  const words = [`${s.received} received`, `${s.replayed} replayed`, `${s.own} own`, `${s.missing} missing`];
  if (s.repeated > 0) words.push(`${s.repeated} twice`);
  if (s.disordered > 0) words.push(`${s.disordered} out of order`);
  return words.join(', ');
}

/** One cell in words, such as "412, replayed, own". */
export function cellWords(cell: StripCell): string {
  const how = { live: 'live', replay: 'replayed', missing: 'missing' }[cell.kind];
  return [String(cell.seq), how, cell.own ? 'own' : (cell.author ?? '')].filter(Boolean).join(', ');
}
