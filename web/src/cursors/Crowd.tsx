import { useEffect, useState } from 'react';
import { useClient, useRoom } from 'roomlog/react';
import { count } from '../model/words.ts';
import type { Pointers } from './pointers.ts';
import { SimulatedPerson } from './simulated.ts';

const people = 30;

/** Whether the server is this machine's own: no other is put under such a load from here. */
const isOwnMachine = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);

/** The switch that lets thirty simulated people in, and what that costs. */
export function Crowd({ pointers }: { readonly pointers: Pointers | null }) {
  const { id } = useRoom().room;
  const { user = '' } = useClient();
  const [on, setOn] = useState(false);
  useEffect(() => {
    if (!on) return;
    const crowd = Array.from({ length: people }, (_, i) => new SimulatedPerson(user, i, id));
    return () => {
      for (const person of crowd) person.leave();
    };
  }, [on, user, id]);
  if (!isOwnMachine) return null;
  return (
    <div className="crowd">
      <button
        type="button"
        role="switch"
        aria-checked={on}
        className="tunnel-switch"
        onClick={() => setOn(!on)}
      >
        <span className="tunnel-track" aria-hidden="true">
          <span className="tunnel-thumb" />
        </span>
        {people} simulated people
      </button>
      <Readout pointers={pointers} measures={on} />
    </div>
  );
}

/** How many updates came in the last second; where asked, also how many frames were drawn: that alone keeps the screen awake. */
function Readout({ pointers, measures }: { readonly pointers: Pointers | null; readonly measures: boolean }) {
  const [seen, setSeen] = useState({ updates: 0, frames: 0 });
  useEffect(() => {
    if (!pointers) return;
    let frames = 0;
    let drawing = 0;
    let before = { updates: pointers.updates, at: performance.now() };
    const draw = () => {
      frames++;
      drawing = requestAnimationFrame(draw);
    };
    if (measures) drawing = requestAnimationFrame(draw);
    const reading = setInterval(() => {
      const now = { updates: pointers.updates, at: performance.now() };
      const seconds = (now.at - before.at) / 1_000;
      const next = {
        updates: Math.round((now.updates - before.updates) / seconds),
        frames: Math.round(frames / seconds),
      };
      before = now;
      frames = 0;
      setSeen(last => (last.updates === next.updates && last.frames === next.frames ? last : next));
    }, 1_000);
    return () => {
      clearInterval(reading);
      cancelAnimationFrame(drawing);
    };
  }, [pointers, measures]);
  return (
    <p className="readout">
      {count(seen.updates, 'update')}/s{measures && ` · ${count(seen.frames, 'frame')}/s`}
    </p>
  );
}
