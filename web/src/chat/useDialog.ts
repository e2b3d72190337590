import { useCallback, useEffect, useRef, useState } from 'react';

/** A modal dialog whose content is there while it is open, so that its first field has the focus and begins anew each time. */
export function useDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    if (isOpen && !dialog.current?.open) dialog.current?.showModal();
  }, [isOpen]);
  return {
    dialog,
    isOpen,
    open: useCallback(() => setOpen(true), []),
    close: useCallback(() => dialog.current?.close(), []),
    /** To be called when it has closed, by whatever means. */
    closed: useCallback(() => setOpen(false), []),
  };
}
