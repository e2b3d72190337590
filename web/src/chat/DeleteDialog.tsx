import { useEffect, useRef } from 'react';
import type { Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { wordsOf } from './Quote.tsx';

interface DeleteDialogProps {
  readonly message: Message<Body> | null;
  readonly onClose: () => void;
  readonly onDelete: (message: Message<Body>) => void;
}

/** Asks before a message is deleted. Enter deletes, Escape does not. */
export function DeleteDialog({ message, onClose, onDelete }: DeleteDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (message) dialog.current?.showModal();
  }, [message]);
  return (
    <dialog ref={dialog} className="ask" aria-labelledby="ask-title" closedby="any" onClose={onClose}>
      <h2 id="ask-title">Delete this message?</h2>
      <p className="ask-quote" dir="auto">
        {message && wordsOf(message)}
      </p>
      <p>It goes for everybody, and for good.</p>
      <div className="ask-choice">
        <button
          type="button"
          className="delete-button"
          onClick={() => {
            dialog.current?.close();
            if (message) onDelete(message);
          }}
        >
          Delete
        </button>
        <button type="button" className="plain-button" onClick={() => dialog.current?.close()}>
          Cancel
        </button>
      </div>
    </dialog>
  );
}
