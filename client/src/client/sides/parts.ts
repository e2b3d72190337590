import type { Message } from '../types.js';
import type { PartNeeds } from './part.js';
import { isFields, type SideFrame } from './snapshot.js';

type Row = Message<unknown>;

/** What a message that streams has of its text (PART-9). */
interface Grown {
  text: string;
  /** Of UTF-8: by these parts are placed. */
  bytes: number;
}

const utf8 = new TextEncoder();

/** The data of a message that streams; of another nothing. */
const streaming = ({ data, deleted }: Row) =>
  !deleted && isFields(data) && data.streaming === true ? data : undefined;

/** Has the texts of messages that stream grow in their rows. */
export class PartsPart {
  readonly #needs: PartNeeds;
  readonly #texts = new Map<number, Grown>();
  /** By data as it is shown: the text that its message began with. */
  readonly #began = new WeakMap<object, string>();

  constructor(needs: PartNeeds) {
    this.#needs = needs;
    needs.room.messages.list.subscribe(() => this.#look());
  }

  /** Another connection goes on where this one was. */
  joined(): void {}

  down(): void {}

  clear(): void {
    this.#texts.clear();
    this.#keep();
  }

  frame({ seq, offset, text }: SideFrame): void {
    if (typeof seq !== 'number' || typeof offset !== 'number' || typeof text !== 'string') return;
    const had = this.#texts.get(seq) ?? { text: '', bytes: 0 };
    if (offset > had.bytes) {
      this.#needs.say('sync', { side: 'parts' });
      return;
    }
    const before =
      offset < had.bytes ? new TextDecoder().decode(utf8.encode(had.text).subarray(0, offset)) : had.text;
    this.#texts.set(seq, { text: before + text, bytes: offset + utf8.encode(text).length });
    this.#keep();
    this.#lay();
  }

  /** What a join is to say that we have. */
  #keep(): void {
    const { own } = this.#needs.sides;
    if (this.#texts.size > 0) {
      own.parts = Object.fromEntries([...this.#texts].slice(-100).map(([seq, { bytes }]) => [seq, bytes]));
    } else delete own.parts;
  }

  /** Rows came or changed: the text of one that has ended is not kept. */
  #look(): void {
    if (this.#texts.size === 0) return;
    for (const row of this.#needs.room.messages.list.get()) {
      if (row.seq !== null && !streaming(row) && this.#texts.delete(row.seq)) this.#keep();
    }
    this.#lay();
  }

  #lay(): void {
    const { log: timeline } = this.#needs;
    let changed = false;
    const log = timeline.log.map(row => {
      const grown = this.#texts.get(row.seq ?? 0);
      const data = grown && streaming(row);
      if (!data) return row;
      const began = this.#began.get(data) ?? (typeof data.text === 'string' ? data.text : '');
      const text = began + grown.text;
      if (data.text === text) return row;
      const next = { ...data, text };
      this.#began.set(next, began);
      changed = true;
      return { ...row, data: next };
    });
    if (!changed) return;
    timeline.log = log;
    timeline.list.invalidate();
  }
}
