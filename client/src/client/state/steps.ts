import type { StateEntry } from '../../protocol/frames.js';

/** How many sets can be undone. */
const MAX_STEPS = 100;

/** Values by key; null deletes. */
export type Patch = Readonly<Record<string, unknown>>;

/** One set of this client. */
export interface Step {
  readonly patch: Patch;
  /** The tag of the send that carries it, which may carry others too. */
  readonly tag: string;
  /** What the keys had before it; undefined where they had no value. As stored, once that is known. */
  readonly before: Map<string, unknown>;
  /** Its seq, once it is stored. */
  seq: number | undefined;
}

/** An object that has no keys but those that are put into it, whatever they are called. */
export const bare = (from: object = {}): Record<string, unknown> => Object.assign(Object.create(null), from);

/** What this client has set and can take back, and what it took back and can bring back. */
export class Steps {
  undo: Step[] = [];
  redo: Step[] = [];

  /** Puts a step onto one of the stacks. */
  push(stack: 'undo' | 'redo', step: Step): void {
    this[stack] = [...this[stack], step].slice(-MAX_STEPS);
  }

  /** The steps that one send carries, in their order. */
  #of(tag: string): Step[] {
    return [...this.undo, ...this.redo].filter(step => step.tag === tag);
  }

  /** A send is stored as `seq`. */
  stored(tag: string, seq: number): void {
    for (const step of this.#of(tag)) step.seq = seq;
  }

  /** The event of a send is about to be laid over what was stored before it: that is what was there before. */
  landing(tag: string, stored: ReadonlyMap<string, StateEntry>): void {
    const now = new Map<string, unknown>();
    for (const { patch, before } of this.#of(tag)) {
      for (const [key, value] of Object.entries(patch)) {
        before.set(key, now.has(key) ? now.get(key) : stored.get(key)?.value);
        now.set(key, value ?? undefined);
      }
    }
  }

  /** A send was refused: there is nothing of it to take back. */
  refused(tag: string): void {
    this.undo = this.undo.filter(step => step.tag !== tag);
    this.redo = this.redo.filter(step => step.tag !== tag);
  }

  clear(): void {
    this.undo = [];
    this.redo = [];
  }
}
