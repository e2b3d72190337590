import { Annotation, type Extension, type Range, RangeSet } from '@codemirror/state';
import {
  Decoration,
  type DecorationSet,
  type EditorView,
  type PluginValue,
  ViewPlugin,
  type ViewUpdate,
  WidgetType,
} from '@codemirror/view';
import type { Awareness } from 'y-protocols/awareness';
import * as Y from 'yjs';
import { hueOf, initialsOf } from '../cursors/who.ts';

/** Where somebody is, as most editors with Yjs say it: positions that move with the text, as JSON. */
interface Place {
  readonly anchor: unknown;
  readonly head: unknown;
}

/** Marks a transaction that changes nothing but where others are. */
const moved = Annotation.define<true>();

/** Shows where others are in a text, by name, and tells them where one is oneself. */
export function carets(text: Y.Text, awareness: Awareness): Extension {
  return ViewPlugin.define(view => new Carets(view, text, awareness), {
    decorations: plugin => plugin.shown,
  });
}

class Carets implements PluginValue {
  shown: DecorationSet = RangeSet.empty;
  /** By client: its place as it was last said, and how often that changed. */
  readonly #said = new Map<number, { readonly place: string; readonly turn: number }>();
  #here = '';
  #isOpen = true;

  constructor(
    readonly view: EditorView,
    readonly text: Y.Text,
    readonly awareness: Awareness,
  ) {
    awareness.on('change', this.#heard);
    this.shown = this.#draw();
  }

  update(update: ViewUpdate): void {
    const isMoved = update.transactions.some(transaction => transaction.annotation(moved));
    if (update.docChanged || isMoved) this.shown = this.#draw();
    if (update.docChanged || update.selectionSet || update.focusChanged) this.#tell();
    if (this.shown.size > 0) update.view.requestMeasure({ key: this, read: outside, write: turnFlags });
  }

  destroy(): void {
    this.#isOpen = false;
    this.awareness.off('change', this.#heard);
    this.awareness.setLocalStateField('cursor', null);
  }

  // Not at once: the editor may be in the middle of a change, which this would be one of.
  readonly #heard = ({
    added,
    updated,
    removed,
  }: Record<'added' | 'updated' | 'removed', number[]>): void => {
    if ([...added, ...updated, ...removed].every(client => client === this.awareness.clientID)) return;
    queueMicrotask(() => {
      if (this.#isOpen) this.view.dispatch({ annotations: moved.of(true) });
    });
  };

  /** Says where one is, once one has been in the text. It stays there while another window is in use. */
  #tell(): void {
    if (!this.view.hasFocus && this.#here === '') return;
    const { anchor, head } = this.view.state.selection.main;
    const at = (index: number) =>
      Y.relativePositionToJSON(Y.createRelativePositionFromTypeIndex(this.text, index));
    const place: Place = { anchor: at(anchor), head: at(head) };
    const here = JSON.stringify(place);
    if (here === this.#here) return;
    this.#here = here;
    this.awareness.setLocalStateField('cursor', place);
  }

  #draw(): DecorationSet {
    const found: Range<Decoration>[] = [];
    for (const [client, state] of this.awareness.getStates()) {
      if (client === this.awareness.clientID) continue;
      const { user, cursor } = state as { user?: { name?: unknown }; cursor?: Partial<Place> | null };
      const [anchor, head] = [this.#indexOf(cursor?.anchor), this.#indexOf(cursor?.head)];
      if (anchor === null || head === null) continue;
      const name = typeof user?.name === 'string' ? user.name.slice(0, 64) : 'Somebody';
      const hue = String(hueOf(name));
      if (anchor !== head)
        found.push(
          Decoration.mark({ class: 'range', attributes: { 'data-hue': hue } }).range(
            Math.min(anchor, head),
            Math.max(anchor, head),
          ),
        );
      const widget = new Caret(name, hue, this.#turnOf(client, JSON.stringify(cursor)));
      found.push(Decoration.widget({ widget, side: head > anchor ? -1 : 1 }).range(head));
    }
    return RangeSet.of(found, true);
  }

  /** Counts the moves of a client: with each its name is shown in full again. */
  #turnOf(client: number, place: string): number {
    const before = this.#said.get(client);
    if (before?.place === place) return before.turn;
    const turn = (before?.turn ?? 0) + 1;
    this.#said.set(client, { place, turn });
    return turn;
  }

  /** The place in the text as it is; null for what others said that is none, or is not here yet. */
  #indexOf(said: unknown): number | null {
    if (typeof said !== 'object' || said === null || !this.text.doc) return null;
    try {
      const at = Y.createAbsolutePositionFromRelativePosition(
        Y.createRelativePositionFromJSON(said),
        this.text.doc,
      );
      return at?.type === this.text ? Math.min(at.index, this.view.state.doc.length) : null;
    } catch {
      return null;
    }
  }
}

/** A line where somebody is, with their name; after a while with their initials alone, which hide less (editor.css). */
class Caret extends WidgetType {
  constructor(
    readonly name: string,
    readonly hue: string,
    readonly turn: number,
  ) {
    super();
  }

  override eq(other: Caret): boolean {
    return other.name === this.name && other.turn === this.turn;
  }

  /** Who reads by ear hears who is here from the list above, not in the middle of a word. */
  toDOM(): HTMLElement {
    const part = (tag: string, kind: string, text = '') =>
      Object.assign(document.createElement(tag), { className: kind, textContent: text });
    const caret = part('span', 'caret');
    caret.ariaHidden = 'true';
    caret.dataset.hue = this.hue;
    const flag = part('span', 'caret-flag');
    flag.append(part('span', 'caret-name', this.name), part('span', 'caret-initials', initialsOf(this.name)));
    caret.append(flag);
    return caret;
  }

  override ignoreEvent(): boolean {
    return false;
  }
}

/** The flags that would be cut off at the end of a line, and the others. */
function outside(view: EditorView): [HTMLElement, boolean][] {
  const { right } = view.contentDOM.getBoundingClientRect();
  return [...view.contentDOM.querySelectorAll<HTMLElement>('.caret')].map(caret => {
    const width = caret.querySelector('.caret-name')?.scrollWidth ?? 0;
    return [caret, caret.getBoundingClientRect().left + width + 16 > right];
  });
}

function turnFlags(carets: [HTMLElement, boolean][]): void {
  for (const [caret, isOutside] of carets) caret.toggleAttribute('data-left', isOutside);
}
