import { useEffect, useState } from 'react';
import { type Health, health } from '../guest/devapi.ts';

/** What is open on a server in dev mode, what it keeps and on what terms, and where to read on. */
export function DevNotice() {
  const [about, setAbout] = useState<Health | null>(null);
  useEffect(() => {
    health().then(setAbout, () => setAbout(null)); // without an answer the panes already say so
  }, []);
  return (
    <section className="notice" aria-labelledby="notice">
      <div>
        <h2 id="notice">This server is for trying things</h2>
        <ul>
          <li>Anyone on this machine gets a token for any name, and may read and write every room.</li>
          <li>Pages from any local port may connect, and anyone here may cut the tunnels.</li>
          <li>It speaks plain HTTP. Keep it on this machine.</li>
        </ul>
        <p>
          For anything else there is <code>roomlog serve</code>, which asks for a key and your origins first.
        </p>
      </div>
      <div>
        <h2>What it keeps</h2>
        <p>
          {about
            ? `${storeName(about.store)}, durability ${about.durability}: ${
                about.durability === 'full'
                  ? 'an event is acknowledged once it is on disk, and outlives the server being killed.'
                  : 'an acknowledged event may be lost when the machine fails.'
              }`
            : 'The log of every room.'}
        </p>
        <h2>Read on</h2>
        <ul>
          <li>
            <a href="/errors">Every error code, its cause and its cure</a>
          </li>
          <li>
            <a href="/healthz">What this server says of itself</a>
          </li>
          <li>
            In the repository: <code>client/README.md</code>, <code>spec/PROTOCOL.md</code>,{' '}
            <code>ARCHITECTURE.md</code>
          </li>
        </ul>
      </div>
    </section>
  );
}

function storeName(store: string): string {
  return { sqlite: 'SQLite', postgres: 'PostgreSQL' }[store] ?? store;
}
