import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from 'react';
import { useClient, useOthers, usePresence, useRoom } from 'roomlog/react';
import { ConnectionLine } from '../pane/ConnectionLine.tsx';
import { Crowd } from './Crowd.tsx';
import { People } from './People.tsx';
import { Plan } from './Plan.tsx';
import { Pointers } from './pointers.ts';
import { clamp, type Point } from './track.ts';

/** How far a key moves one's pointer, as a share of the area: alone, and with Shift. */
const step = 0.01;
const stride = 0.05;

const ways: Readonly<Record<string, readonly [x: number, y: number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The plan that everybody points at, and who is here. */
export function Area() {
  const frame = useRef<HTMLDivElement>(null);
  const surface = useRef<HTMLDivElement>(null);
  const layer = useRef<HTMLDivElement>(null);
  const edge = useRef<HTMLDivElement>(null);
  const pointers = usePointers({ frame, layer, edge });
  const pointing = usePointing(pointers, surface);
  return (
    <main className="cursors">
      <section className="area" aria-labelledby="area-name">
        <header className="area-head">
          <h1 id="area-name">Cursors</h1>
          <ConnectionLine speaks />
        </header>
        <div className="area-body">
          <div
            ref={frame}
            className="area-frame"
            role="application"
            aria-label="Shared plan"
            aria-describedby="area-hint"
            // biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys move one's own pointer in it
            tabIndex={0}
            onPointerDown={pointing.onPointer}
            onPointerMove={pointing.onPointer}
            onKeyDown={pointing.onKey}
          >
            <div ref={surface} className="area-surface">
              <Plan />
              <div ref={layer} className="pointers" aria-hidden="true" />
            </div>
          </div>
          <div ref={edge} className="signs" aria-hidden="true" />
          <Alone />
        </div>
        <footer className="area-foot">
          <p id="area-hint">
            Point with mouse or finger.
            <span className="hint-keys">
              {' '}
              With the keyboard, arrow keys move your pointer, and Shift makes their steps long.
            </span>
          </p>
          <Crowd pointers={pointers} />
        </footer>
      </section>
      <People onPick={user => pointers?.reveal(user) ?? false} />
    </main>
  );
}

interface Elements {
  readonly frame: React.RefObject<HTMLDivElement | null>;
  readonly layer: React.RefObject<HTMLDivElement | null>;
  readonly edge: React.RefObject<HTMLDivElement | null>;
}

/** Draws what others broadcast for as long as the page shows it; React hears of none of it. */
function usePointers({ frame, layer, edge }: Elements): Pointers | null {
  const { room } = useRoom();
  const { user } = useClient();
  const [pointers, setPointers] = useState<Pointers | null>(null);
  useEffect(() => {
    if (!frame.current || !layer.current || !edge.current) return;
    const made = new Pointers({ frame: frame.current, area: layer.current, edge: edge.current }, user ?? '');
    setPointers(made);
    const stop = room.on('broadcast', broadcast => {
      if (broadcast.type === 'cursor') made.take(broadcast);
    });
    for (const broadcast of room.broadcasts.get()) if (broadcast.type === 'cursor') made.take(broadcast);
    return () => {
      stop();
      made.end();
    };
  }, [room, user, frame, layer, edge]);
  const others = useOthers();
  useEffect(() => pointers?.keep(new Set(others.map(member => member.user))), [pointers, others]);
  return pointers;
}

/** Says where one points: with a mouse, a finger or keys. */
function usePointing(pointers: Pointers | null, surface: React.RefObject<HTMLDivElement | null>) {
  const { room } = useRoom();
  const last = useRef<Point>({ x: 0.5, y: 0.5 });
  const say = (point: Point, seen: boolean) => {
    last.current = point;
    // Ten thousandths of the area are less than a pixel.
    room.broadcast('cursor', { x: round(point.x), y: round(point.y) });
    if (seen) pointers?.showOwn(point);
    else pointers?.hideOwn();
  };
  return {
    onPointer(event: PointerEvent) {
      const box = surface.current?.getBoundingClientRect();
      if (!box || (event.type === 'pointermove' && event.pointerType === 'touch' && !event.isPrimary)) return;
      const point = {
        x: clamp((event.clientX - box.left) / box.width),
        y: clamp((event.clientY - box.top) / box.height),
      };
      // A mouse has a pointer of its own; where a finger was, nothing would be seen.
      say(point, event.pointerType !== 'mouse');
    },
    onKey(event: KeyboardEvent) {
      const way = ways[event.key];
      if (!way || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const far = event.shiftKey ? stride : step;
      const point = { x: clamp(last.current.x + way[0] * far), y: clamp(last.current.y + way[1] * far) };
      say(point, true);
      pointers?.scrollTo(point);
    },
  };
}

const round = (share: number) => Math.round(share * 10_000) / 10_000;

/** Says that there is nobody else, once that is known. */
function Alone() {
  const alone = usePresence(({ occupancy: { stale, users } }) => !stale && users <= 1);
  if (!alone) return null;
  return (
    <div className="alone">
      <p>
        <strong>You are alone here.</strong> Open this page in a second window and move the pointer in one of
        them.
      </p>
      <a href={location.pathname + sameRoom()} target="_blank" rel="noopener">
        Open a second window
      </a>
    </div>
  );
}

/** The address of this room for somebody else: without the name of this guest. */
function sameRoom(): string {
  const room = new URLSearchParams(location.search).get('room');
  return room ? `?room=${encodeURIComponent(room)}` : '';
}
