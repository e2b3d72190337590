import type { Page } from '../protocol/frames.js';
import { later } from '../transport/later.js';
import { Value } from './readable.js';
import type { StatePart, StatePartHost } from './state/part.js';
import type { SharedState, StatePatch, Undoable } from './state.js';

/** The type of the events that set state. */
export const STATE = 'state';

/** The values of a room's state, and the way to the code that fills them, loaded where there is any, or somebody looks. */
export class Values implements SharedState<Record<string, unknown>> {
  readonly value = new Value<Readonly<Record<string, unknown>>>(Object.create(null), () =>
    this.changed(STATE),
  );

  /** What the code says of it. */
  declare undoable: Undoable | undefined;

  readonly #host: StatePartHost;
  /** Pages that the code has not taken: of all that follow the first one with state none may be missed. */
  #pages: Page[] = [];
  readonly #load = later(async () => {
    const { StatePart } = await import('./state/part.js');
    return new StatePart(this.#host, this);
  });

  constructor(host: StatePartHost) {
    this.#host = host;
  }

  async #use<R>(what: (code: StatePart) => R | Promise<R>): Promise<R | undefined> {
    const { code } = this.#load;
    return code ? what(code) : this.#load(what);
  }

  /** A page of the log was taken. */
  take(page: Page): void {
    if (!(this.#load.code || this.#pages[0] || page.state || page.events.some(({ type }) => type === STATE)))
      return;
    this.#pages.push(page);
    void this.#use(code => code.take(this.#pages.splice(0)));
  }

  /** What was known is of another numbering, or another user. */
  clear(): void {
    this.#pages = [];
    this.#load.code?.clear();
  }

  /** A send of this type came, went or looks different. */
  changed(type: string): void {
    if (type === STATE) void this.#use(code => code.show());
  }

  get(key?: string) {
    const all = this.value.get();
    return key === undefined ? all : (all[key] as never);
  }

  meta(key: string) {
    return this.#load.code?.meta(key);
  }

  set(patch: StatePatch<Record<string, unknown>>, options?: { ifSeq?: number }) {
    return (
      this.#load.code?.set(patch, options) ??
      this.#host.room.messages.send(patch, { ...options, type: STATE })
    );
  }

  update(change: (draft: Record<string, unknown>) => void) {
    return this.#use(code => code.update(change));
  }

  undo() {
    return this.#use(code => code.undo());
  }

  redo() {
    return this.#use(code => code.redo());
  }
}
