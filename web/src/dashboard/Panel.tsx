import { useEffect, useState, useSyncExternalStore } from 'react';
import { useClient, useReadable } from 'roomlog/react';
import { ConnectionLine } from '../pane/ConnectionLine.tsx';
import { useNow } from '../pane/hooks.ts';
import { Chart } from './Chart.tsx';
import { Empty } from './Empty.tsx';
import { Live } from './live.ts';
import { Sources, sourceOf } from './Sources.tsx';
import { silenceWords } from './series.ts';
import { Values } from './Values.tsx';

/** Between the names of series, in which anything may be but this (DATA-3). */
const separator = '\0';

/** The feed that the address names, as charts or as a table. */
export function Panel() {
  const client = useClient();
  const [room, setRoom] = useState(sourceOf);
  const [live, setLive] = useState<Live | null>(null);
  useEffect(() => {
    const made = new Live(client, room);
    setLive(made);
    return () => made.end();
  }, [client, room]);
  return (
    <main className="dashboard">
      <header className="dashboard-head">
        <h1>Dashboard</h1>
        <ConnectionLine speaks />
        <Sources room={room} onPick={setRoom} />
      </header>
      {live && live.feed.id === room && <Shown key={room} live={live} />}
    </main>
  );
}

function Shown({ live }: { readonly live: Live }) {
  const status = useReadable(live.feed.status);
  const names = useSyncExternalStore(live.subscribe, () => live.get().names.join(separator));
  const [table, setTable] = useState(false);
  const [paused, setPaused] = useState(false);
  const [resting, setResting] = useState(false);
  const held = paused || (resting && !table);
  useEffect(() => live.hold(held), [live, held]);
  return (
    <section className="feed" aria-label={`Feed ${live.feed.id}`} data-state={status.state}>
      <div className="feed-bar">
        <button
          type="button"
          className="feed-button"
          aria-pressed={paused}
          onClick={() => setPaused(!paused)}
        >
          {paused ? 'Go on' : 'Pause'}
        </button>
        <button type="button" className="feed-button" aria-pressed={table} onClick={() => setTable(!table)}>
          Table
        </button>
        <Badge live={live} held={held} />
        <Rate live={live} />
      </div>
      {names === '' ? (
        <Empty room={live.feed.id} status={status} />
      ) : table ? (
        <Values live={live} />
      ) : (
        <section
          className="charts"
          aria-label="Charts"
          onPointerEnter={event => event.pointerType === 'mouse' && setResting(true)}
          onPointerLeave={() => setResting(false)}
          onFocus={event => setResting(event.target.matches(':focus-visible'))}
          onBlur={() => setResting(false)}
        >
          {names.split(separator).map(name => (
            <Chart key={name} name={name} live={live} />
          ))}
        </section>
      )}
    </section>
  );
}

/** Whether what is shown is of now. It is read aloud when that changes, and never while points come. */
function Badge({ live, held }: { readonly live: Live; readonly held: boolean }) {
  const { state } = useReadable(live.feed.status);
  const stale = state === 'stale';
  // Time passes while nothing comes, and the first point is no change of state.
  useNow(stale || live.heardAt === undefined, 1_000);
  const words = silenceWords(live.heardAt === undefined ? undefined : performance.now() - live.heardAt);
  const [wasStale, setWasStale] = useState(false);
  useEffect(() => {
    if (stale) setWasStale(true);
  }, [stale]);
  return (
    <p className="badge" data-tone={stale ? 'stale' : held ? 'held' : state}>
      <span className="unseen" role="status">
        {stale ? 'No data comes.' : wasStale && state === 'live' ? 'Data comes again.' : ''}
      </span>
      <span>
        {stale
          ? words
          : state === 'connecting'
            ? 'Connecting…'
            : held
              ? 'Held'
              : live.heardAt === undefined
                ? 'Waiting…'
                : 'Live'}
      </span>
    </p>
  );
}

/** How many points came in the last second. */
function Rate({ live }: { readonly live: Live }) {
  const [rate, setRate] = useState(0);
  useEffect(() => {
    const counting = setInterval(() => setRate(live.taken()), 1_000);
    return () => clearInterval(counting);
  }, [live]);
  return <p className="feed-rate">{rate} points/s</p>;
}
