import { useState } from 'react';
import type { Guest } from './guest/guest.ts';
import { Pane } from './pane/Pane.tsx';
import { StripLegend } from './pane/SeqStrip.tsx';
import { DevNotice } from './start/DevNotice.tsx';
import { Shapes } from './start/Shapes.tsx';
import { Snippets } from './start/Snippets.tsx';
import { TopBar } from './theme/TopBar.tsx';

/** The first page: two guests in one room, and how to join them. */
export function Home({ guests }: { readonly guests: readonly [Guest, Guest] }) {
  const [left, right] = guests;
  const [active, setActive] = useState(left.name);
  return (
    <>
      <TopBar here="home" />
      <main>
        <div className="intro">
          <h1>Cut the line. Keep typing.</h1>
          <p>
            {left.name} and {right.name} share the room <code>{left.room.id}</code>, each over a connection of
            their own. Put one into a tunnel, type in both, let go: nothing is missing, doubled or out of
            order.
          </p>
        </div>
        <div className="panes">
          <Pane guest={left} active={active === left.name} onUse={() => setActive(left.name)} focused />
          <Pane guest={right} active={active === right.name} onUse={() => setActive(right.name)} />
        </div>
        <StripLegend />
        <Shapes />
        <section className="start" aria-labelledby="start">
          <h2 id="start">Join them from your own app</h2>
          <p className="start-lead">
            The address and the token are this server’s. Paste it, run it, and watch both panes.
          </p>
          <Snippets room={left.room.id} origin={location.origin} />
        </section>
        <DevNotice />
      </main>
    </>
  );
}
