import { Compartment, EditorState } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { yCollab, yUndoManagerKeymap } from 'y-codemirror.next';
import type { Awareness } from 'y-protocols/awareness';
import type * as Y from 'yjs';
import sheet from '../styles/editor.css?inline';
import hues from '../styles/hues.css?inline';
import { carets } from './carets.ts';
import { keys } from './keys.ts';
import { markdown } from './marks.ts';
import { motion } from './motion.ts';

/** Whether the text can be written: what belongs to the room no longer can only be read. */
const writable = new Compartment();

/** How much of what is above and below stays in sight around the caret, px: above, the bar of the document is in the way. */
const margins = { top: 72, bottom: 32 };

/**
 * Puts an editor of a text into an element. It lives in a shadow root, where its styles are style sheets that scripts made:
 * the policy of the pages allows those, but no style element, which it would make in the document.
 * @param undo takes back what is written here, and nothing else
 */
export function openEditor(
  host: HTMLElement,
  text: Y.Text,
  awareness: Awareness,
  undo: Y.UndoManager,
): EditorView {
  const root = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
  const ours = new CSSStyleSheet();
  ours.replaceSync(hues + sheet);
  root.adoptedStyleSheets = [ours];
  const state = EditorState.create({
    doc: text.toString(),
    extensions: [
      keymap.of([...yUndoManagerKeymap, ...keys, ...motion]),
      EditorView.lineWrapping,
      EditorView.perLineTextDirection.of(true),
      EditorView.scrollMargins.of(() => margins),
      EditorView.contentAttributes.of({
        'aria-label': 'Text of the document. Escape, then Tab, leaves it.',
        autocapitalize: 'sentences',
        spellcheck: 'true',
      }),
      writable.of([]),
      markdown,
      yCollab(text, null, { undoManager: undo }), // its carets need what the policy does not allow
      carets(text, awareness),
    ],
  });
  return new EditorView({ state, parent: root, root });
}

/** Lets an editor be read alone. */
export function lock(view: EditorView): void {
  view.dispatch({ effects: writable.reconfigure(EditorState.readOnly.of(true)) });
}
