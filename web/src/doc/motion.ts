import { EditorSelection, type SelectionRange } from '@codemirror/state';
import { type Command, Direction, type EditorView, type KeyBinding } from '@codemirror/view';

// What keys do in any text. A browser does most of it by itself, but stumbles over others' carets. The package that usually
// does it, @codemirror/commands, brings syntax trees with it: 17 KB compressed, most of what the pages have left (400 KiB in all).

/** Where a caret comes to from where it is. */
type Move = (view: EditorView, from: SelectionRange) => SelectionRange;

const edge = (at: number) => EditorSelection.cursor(at);
const isForward = (view: EditorView, from: SelectionRange, toRight: boolean) =>
  (view.textDirectionAt(from.head) === Direction.LTR) === toRight;

const byChar =
  (toRight: boolean): Move =>
  (view, from) =>
    view.moveByChar(from, isForward(view, from, toRight));
const byWord =
  (toRight: boolean): Move =>
  (view, from) =>
    view.moveByGroup(from, isForward(view, from, toRight));
const byLine =
  (down: boolean): Move =>
  (view, from) =>
    view.moveVertically(from, down);
const toLineEdge =
  (forward: boolean): Move =>
  (view, from) =>
    view.moveToLineBoundary(from, forward);
const toEdge =
  (forward: boolean): Move =>
  ({ state }) =>
    edge(forward ? state.doc.length : 0);

/** Moves the caret; what was selected is let go, by an arrow at its edge. */
function go(move: Move, side?: (view: EditorView, from: SelectionRange) => boolean): Command {
  return view => {
    const { main } = view.state.selection;
    const to = side && !main.empty ? edge(side(view, main) ? main.to : main.from) : move(view, main);
    view.dispatch({ selection: EditorSelection.create([to]), scrollIntoView: true });
    return true;
  };
}

/** Moves one end of what is selected. */
function select(move: Move): Command {
  return view => {
    const { main } = view.state.selection;
    const to = move(view, main);
    const range = EditorSelection.range(main.anchor, to.head, to.goalColumn, to.bidiLevel ?? undefined);
    view.dispatch({ selection: EditorSelection.create([range]), scrollIntoView: true });
    return true;
  };
}

/** Deletes what is selected, or what is between the caret and where it would come to. */
function erase(move: Move): Command {
  return view => {
    const { state } = view;
    const { main } = state.selection;
    const to = main.empty ? move(view, main).head : main.anchor;
    const changes = { from: Math.min(main.head, to), to: Math.max(main.head, to) };
    if (!state.readOnly && changes.from < changes.to)
      view.dispatch({ changes, userEvent: 'delete', scrollIntoView: true });
    return true;
  };
}

/** Keys that move, and with Shift select. */
function binding(
  keys: Pick<KeyBinding, 'key' | 'mac'>,
  move: Move,
  side?: Parameters<typeof go>[1],
): KeyBinding {
  return { ...keys, run: go(move, side), shift: select(move), preventDefault: true };
}

const eraseChar = (forward: boolean) => erase((view, from) => view.moveByChar(from, forward));
const eraseWord = (forward: boolean) => erase((view, from) => view.moveByGroup(from, forward));

/** The keys that move, select and delete. */
export const motion: readonly KeyBinding[] = [
  ...[false, true].flatMap(toRight => {
    const key = toRight ? 'ArrowRight' : 'ArrowLeft';
    return [
      binding({ key }, byChar(toRight), (view, from) => isForward(view, from, toRight)),
      binding({ key: `Mod-${key}`, mac: `Alt-${key}` }, byWord(toRight)),
      binding({ mac: `Cmd-${key}` }, toLineEdge(toRight)),
    ];
  }),
  ...[false, true].flatMap(down => {
    const key = down ? 'ArrowDown' : 'ArrowUp';
    const far = down ? 'End' : 'Home';
    return [
      binding({ key }, byLine(down)),
      binding({ key: far }, toLineEdge(down)),
      binding({ key: `Mod-${far}`, mac: `Cmd-${key}` }, toEdge(down)),
    ];
  }),
  {
    key: 'Mod-a',
    run: view => {
      view.dispatch({ selection: { anchor: 0, head: view.state.doc.length } });
      return true;
    },
  },
  { key: 'Backspace', run: eraseChar(false), shift: eraseChar(false), preventDefault: true },
  { key: 'Delete', run: eraseChar(true), preventDefault: true },
  { key: 'Mod-Backspace', mac: 'Alt-Backspace', run: eraseWord(false), preventDefault: true },
  { key: 'Mod-Delete', mac: 'Alt-Delete', run: eraseWord(true), preventDefault: true },
];
