import type { EditorView } from '@codemirror/view';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useClient, useConnection, useReadable, useRoom } from 'roomlog/react';
import { type DocState, openDoc, type RoomDoc } from 'roomlog/yjs';
import * as Y from 'yjs';
import { Alone } from '../pane/Alone.tsx';
import { useLate } from '../pane/hooks.ts';
import { demoUpdate, textName } from './demo.ts';
import { lock, openEditor } from './editor.ts';
import { Replaced } from './Replaced.tsx';
import { Saved } from './Saved.tsx';
import { Undo } from './Undo.tsx';
import { spokenWords } from './words.ts';

/** For how long a drop is nobody's business, ms. */
const spareMs = 5_000;

/** The document of the nearest room, open while this is shown. It comes by a chunk of its own, with the editor and Yjs. */
export function Paper() {
  const { user = '' } = useClient();
  const { room } = useRoom();
  const [doc, setDoc] = useState<RoomDoc>();
  const [turn, setTurn] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another turn opens it anew
  useEffect(() => {
    const opened = openDoc(room);
    opened.awareness.setLocalStateField('user', { name: user });
    setDoc(opened);
    return () => opened.destroy();
  }, [room, user, turn]);
  const openNew = useCallback(() => {
    doc?.replaced?.discard();
    setTurn(turn => turn + 1);
  }, [doc]);
  if (!doc) return <div className="sheet sheet-opening" aria-hidden="true" />;
  return <Sheet key={doc.ydoc.guid} doc={doc} onOpenNew={openNew} />;
}

function Sheet({ doc, onOpenNew }: { readonly doc: RoomDoc; readonly onOpenNew: () => void }) {
  const state = useCalm(useReadable(doc.status));
  const [undo, setUndo] = useState<Y.UndoManager>();
  const [said, setSaid] = useState('');
  useSpoken(state, setSaid);
  useEffect(() => {
    // Nobody has written yet, which the server says itself.
    if (state === 'saved' && doc.id === undefined) Y.applyUpdate(doc.ydoc, demoUpdate(), demoUpdate);
  }, [state, doc]);
  const [isOpen, setOpen] = useState(false);
  if (state !== 'loading' && !isOpen) setOpen(true); // and so it stays
  return (
    <>
      <p className="unseen" role="status">
        {said}
      </p>
      {state === 'replaced' && <Replaced doc={doc} onOpenNew={onOpenNew} />}
      {state === 'failed' && doc.error && (
        <div className="doc-note">
          <p>{doc.error.message}</p>
        </div>
      )}
      <div className="sheet">
        <div className="sheet-bar">
          <Saved state={state} />
          {undo && state !== 'replaced' && <Undo manager={undo} say={setSaid} />}
        </div>
        {isOpen ? (
          <Text doc={doc} locked={state === 'replaced'} onUndo={setUndo} />
        ) : (
          <div className="sheet-text" />
        )}
        <p className="sheet-hint">
          Tab indents; Escape, then Tab, leaves the text. Undo takes back what you wrote, never what others
          did.
        </p>
      </div>
      <Alone>and write in the same sentence in both.</Alone>
    </>
  );
}

/** A short drop is nobody's business: until it is a long one, it is only not certain that all is saved. */
function useCalm(state: DocState): DocState {
  const isLate = useLate(state === 'offline', spareMs);
  const { state: connection } = useConnection();
  return state === 'offline' && !isLate && connection !== 'offline' ? 'saving' : state;
}

/** Has said aloud what is worth it of the state. */
function useSpoken(state: DocState, say: (words: string) => void): void {
  const said = useRef('');
  useEffect(() => {
    const words = spokenWords(state, said.current);
    if (words !== said.current) say(words);
    said.current = words;
  }, [state, say]);
}

/** The text itself. */
function Text({
  doc: { ydoc, awareness },
  locked,
  onUndo,
}: {
  readonly doc: RoomDoc;
  readonly locked: boolean;
  readonly onUndo: (undo: Y.UndoManager) => void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const [view, setView] = useState<EditorView>();
  useEffect(() => {
    if (!host.current) return;
    const text = ydoc.getText(textName);
    const undo = new Y.UndoManager(text, { trackedOrigins: new Set() }); // the editor adds itself
    const opened = openEditor(host.current, text, awareness, undo);
    onUndo(undo);
    setView(opened);
    return () => {
      opened.destroy();
      undo.destroy();
    };
  }, [ydoc, awareness, onUndo]);
  useEffect(() => {
    if (view && locked) lock(view);
  }, [view, locked]);
  return <div className="sheet-text" ref={host} />;
}
