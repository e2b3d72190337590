import { EditorSelection, type Line, type StateCommand } from '@codemirror/state';
import type { KeyBinding } from '@codemirror/view';

const step = '  ';

/** The lines that a selection touches. */
function linesOf({ doc, selection }: Parameters<StateCommand>[0]['state']): Line[] {
  const { from, to } = selection.main;
  const lines: Line[] = [];
  for (let at = from; at <= to; ) {
    const line = doc.lineAt(at);
    lines.push(line);
    at = line.to + 1;
  }
  return lines;
}

/** Two spaces where the caret is, or before each line of what is selected. */
const indent: StateCommand = ({ state, dispatch }) => {
  if (state.readOnly) return false;
  const { main } = state.selection;
  if (main.empty) {
    dispatch(state.update(state.replaceSelection(step), { userEvent: 'input', scrollIntoView: true }));
    return true;
  }
  const changes = linesOf(state).map(({ from }) => ({ from, insert: step }));
  dispatch(state.update({ changes, userEvent: 'input.indent' }));
  return true;
};

/** Takes two spaces, or what there is of them, from before each line. */
const outdent: StateCommand = ({ state, dispatch }) => {
  if (state.readOnly) return false;
  const changes = linesOf(state)
    .map(({ from, text }) => ({ from, to: from + (/^ {1,2}|^\t/.exec(text)?.[0].length ?? 0) }))
    .filter(({ from, to }) => to > from);
  dispatch(state.update({ changes, userEvent: 'delete.dedent' }));
  return true;
};

const marker = /^(\s*)(?:([-*+]) |(\d{1,9})([.)]) |(> ?))?/;

/** A new line that goes on as the last began; a list ends at a point that has nothing in it. */
const newLine: StateCommand = ({ state, dispatch }) => {
  if (state.readOnly) return true;
  const { from, to } = state.selection.main;
  const line = state.doc.lineAt(from);
  const [begun = '', space = '', bullet, number, point, quote] = marker.exec(line.text) ?? [];
  const isPoint = begun !== space;
  if (isPoint && from === to && line.length === begun.length && from === line.to) {
    dispatch(state.update({ changes: { from: line.from, to: line.to }, userEvent: 'delete' }));
    return true;
  }
  const next = bullet ? `${bullet} ` : number ? `${Number(number) + 1}${point} ` : (quote ?? '');
  const insert = `\n${from - line.from >= begun.length ? space + next : ''}`;
  dispatch(
    state.update({
      changes: { from, to, insert },
      selection: EditorSelection.cursor(from + insert.length),
      userEvent: 'input',
      scrollIntoView: true,
    }),
  );
  return true;
};

/** For how long Tab leaves the text after Escape, if no other key was pressed: long enough for slow hands, ms. */
const leavingMs = 20_000;

/** What keys do here beside what they do in any text. */
export const keys: readonly KeyBinding[] = [
  { key: 'Enter', run: newLine, shift: newLine },
  { key: 'Tab', run: indent, shift: outdent },
  {
    key: 'Escape',
    run: view => {
      view.setTabFocusMode(leavingMs);
      return true;
    },
  },
];
