import { lazy, Suspense, useState } from 'react';
import { createClient } from 'roomlog';
import { indexedDBStorage } from 'roomlog/indexeddb';
import { RoomlogProvider, RoomProvider } from 'roomlog/react';
import { guestName } from '../cursors/who.ts';
import { devToken } from '../guest/devapi.ts';
import { ConnectionLine } from '../pane/ConnectionLine.tsx';
import { Faces } from '../pane/Faces.tsx';
import { TopBar } from '../theme/TopBar.tsx';

// The editor and Yjs are most of the page: it shows what it is before they have come.
const Paper = lazy(() =>
  import('./Paper.tsx').then(
    ({ Paper }) => ({ default: Paper }),
    () => ({ default: Missing }),
  ),
);

/** The page: one guest in a text that others write, too. */
export function Doc() {
  const [{ client, room }] = useState(enter);
  return (
    <RoomlogProvider client={client}>
      <TopBar here="doc" />
      <RoomProvider id={room}>
        <main className="doc">
          <header className="doc-head">
            <h1>Doc</h1>
            <ConnectionLine speaks />
            <Faces where="In the document" />
          </header>
          <Suspense fallback={<div className="sheet sheet-opening" aria-hidden="true" />}>
            <Paper />
          </Suspense>
        </main>
      </RoomProvider>
    </RoomlogProvider>
  );
}

/** The line was cut, or the server has another build by now. */
function Missing() {
  return (
    <div className="doc-note" role="alert">
      <p>The editor could not be loaded.</p>
      <button type="button" onClick={() => location.reload()}>
        Load the page again
      </button>
    </div>
  );
}

/** A guest of this window, and the room that the address names or that is there by itself. */
function enter() {
  const user = guestName();
  const room = new URLSearchParams(location.search).get('room') || 'doc:plan';
  const token = async ({ signal }: { signal: AbortSignal }) => (await devToken(user, signal)).token;
  const storage = indexedDBStorage();
  return { client: createClient({ url: location.origin, token, user, storage }), room };
}
