import type { RoomDoc } from 'roomlog/yjs';
import { textName } from './demo.ts';

/** Says that the room has another document by now, and offers the old one: nothing of it is sent there. */
export function Replaced({ doc, onOpenNew }: { readonly doc: RoomDoc; readonly onOpenNew: () => void }) {
  return (
    <div className="doc-note">
      <p>
        The room was deleted and made anew. What you see is your copy of the old text; it is no longer shared.
      </p>
      <button type="button" onClick={() => download(doc.ydoc.getText(textName).toString(), 'old text.md')}>
        Download the old text
      </button>
      <button type="button" onClick={onOpenNew}>
        Forget it and open the new one
      </button>
    </div>
  );
}

/** Has the browser keep a text as a file. */
function download(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/markdown' }));
  Object.assign(document.createElement('a'), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // it is read after the click
}
