import { useSyncExternalStore } from 'react';
import type { UndoManager } from 'yjs';

/** The same object for the same answer, as a store must have it. */
const whatCanBe = [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const;

const changes = ['stack-item-added', 'stack-item-popped', 'stack-cleared'] as const;

/** Takes back and brings back what was written in this window, and nothing else; in the text by keys, too. */
export function Undo({
  manager,
  say,
}: {
  readonly manager: UndoManager;
  readonly say: (words: string) => void;
}) {
  const [undo, redo] = useSyncExternalStore(
    onChange => {
      for (const change of changes) manager.on(change, onChange);
      return () => {
        for (const change of changes) manager.off(change, onChange);
      };
    },
    () => whatCanBe[Number(manager.canUndo()) + 2 * Number(manager.canRedo())],
  ) ?? [false, false];
  const act = (way: 'undo' | 'redo') => {
    if (manager[way]()) say(way === 'undo' ? 'Undone.' : 'Done again.');
  };
  return (
    <div className="undo">
      <button type="button" aria-disabled={!undo} onClick={() => act('undo')} aria-keyshortcuts="Control+Z">
        Undo<span className="undo-more"> mine</span>
      </button>
      <button
        type="button"
        aria-disabled={!redo}
        onClick={() => act('redo')}
        aria-keyshortcuts="Control+Shift+Z"
      >
        Redo
      </button>
    </div>
  );
}
