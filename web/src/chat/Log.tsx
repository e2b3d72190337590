import { type ComponentProps, type RefObject, useEffect, useState } from 'react';
import { Virtuoso, type VirtuosoHandle } from 'react-virtuoso';
import type { Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { type Anchor, type ChatRow, keyOf, noAnchor, reanchor } from '../model/rows.ts';
import { fullTime, type ServerClock } from '../model/when.ts';
import type { Remedies } from '../pane/Failure.tsx';
import { useNow } from '../pane/hooks.ts';
import { Bubble } from './Bubble.tsx';
import type { Footing } from './footing.ts';
import type { Place } from './place.ts';
import type { Stretch } from './useStretch.ts';

interface LogProps extends Remedies {
  readonly rows: readonly ChatRow[];
  readonly stretch: Stretch;
  readonly place: Place;
  readonly footing: Footing;
  readonly clock: ServerClock;
  /** New messages are read aloud; never what comes above, nor while the end is out of sight. */
  readonly aloud: boolean;
  readonly handle: RefObject<VirtuosoHandle | null>;
  /** Asks for the first seq that the room keeps. */
  readonly floorOf: () => Promise<number>;
}

/** What the list's own parts are told. */
interface Context {
  readonly stretch: Stretch;
  readonly first: Message<Body> | undefined;
  readonly floorOf: LogProps['floorOf'];
}

/** The conversation, of which only what is in sight is in the document. */
export function Log({ rows, stretch, place, footing, clock, aloud, handle, floorOf, ...remedies }: LogProps) {
  const { room: roomId, jump, count } = place;
  const anchor = useAnchor(rows);
  const now = useMinute(clock);
  const beginning = beginningOf(rows, place);
  useEffect(() => footing.hear(beginning.seq, stretch.isLive));
  return (
    <Virtuoso<ChatRow, Context>
      key={`${roomId} ${count} ${stretch.isHistory} ${anchor.generation}`}
      ref={handle}
      scrollerRef={footing.scroller}
      className="log"
      role="log"
      aria-label={`Messages in ${roomId}`}
      aria-live={aloud ? 'polite' : 'off'}
      aria-relevant="additions"
      aria-busy={stretch.isPending}
      data={rows}
      context={{ stretch, first: rows[0]?.message, floorOf }}
      components={parts}
      firstItemIndex={anchor.first}
      initialTopMostItemIndex={beginning.at}
      computeItemKey={(_, { message }) => keyOf(message)}
      itemContent={(_, row) => (
        <Bubble
          row={row}
          roomId={roomId}
          linked={jump !== null && row.message.seq === jump.seq}
          at={row.message.seq === null ? clock.fromDevice(row.message.at) : row.message.at}
          now={now}
          onUnfold={footing.stay}
          {...remedies}
        />
      )}
      alignToBottom
      startReached={() => stretch.hasOlder && stretch.loadOlder()}
      endReached={() => !stretch.isLive && stretch.loadNewer()}
      // Rows are measured in the frame that draws them: a frame later others may be there, as high in all, and some stay guessed. At the end
      // a row that is out of sight and higher than guessed then comes and goes with each frame, and the end with it.
      skipAnimationFrameInResizeObserver
      increaseViewportBy={{ top: 600, bottom: 300 }}
    />
  );
}

/** Where the list opens: at the linked message, at the first unread one, or at its end, which has no seq. */
function beginningOf(rows: readonly ChatRow[], { jump, isLeft }: Place) {
  // A seq may belong to an event that is no message: then the one before it.
  const linked = jump ? rows.findLastIndex(r => r.message.seq !== null && r.message.seq <= jump.seq) : -1;
  const unread = jump || isLeft ? -1 : rows.findIndex(r => r.firstUnread);
  const index = jump ? Math.max(0, linked) : unread;
  if (index < 0) return { seq: null, at: { index: rows.length - 1, align: 'end' as const } };
  return { seq: rows[index]?.message.seq ?? null, at: { index, align: 'center' as const } };
}

const parts = {
  Header: ({ context }: { readonly context?: Context }) => {
    if (!context) return null;
    const { stretch, first, floorOf } = context;
    return (
      <p className="log-beginning">
        {stretch.hasOlder ? 'Loading earlier messages…' : <Opening first={first} floorOf={floorOf} />}
      </p>
    );
  },
  Footer: ({ context }: { readonly context?: Context }) =>
    context && !context.stretch.isLive ? (
      <p className="log-beginning">Loading later messages…</p>
    ) : (
      <div className="log-end" />
    ),
  Item: ({ item: _, ...props }: ComponentProps<'div'> & { readonly item: unknown }) => <div {...props} />,
};

/** What stands above the first message there is: before it there may have been others, or only events that are none. */
function Opening({ first, floorOf }: Pick<Context, 'first' | 'floorOf'>) {
  const [floor, setFloor] = useState<number>();
  const seq = first?.seq ?? 1;
  useEffect(() => {
    if (seq > 1) floorOf().then(setFloor, () => {}); // without an answer nothing is said
  }, [seq, floorOf]);
  if (!first || seq === 1 || floor === 1) return 'The room begins here.';
  return floor === undefined ? null : `History before ${fullTime(first.at)} is no longer kept.`;
}

/** The index of the first row, such that rows keep theirs when others come above. */
function useAnchor(rows: readonly ChatRow[]): Anchor {
  const [known, setKnown] = useState<{ rows: readonly ChatRow[] | null; anchor: Anchor }>({
    rows: null,
    anchor: noAnchor,
  });
  if (known.rows === rows) return known.anchor;
  const anchor = reanchor(
    known.anchor,
    rows.map(row => keyOf(row.message)),
  );
  setKnown({ rows, anchor });
  return anchor;
}

/** The server's time, anew twice a minute. */
function useMinute(clock: ServerClock): number {
  useNow(true, 30_000);
  return clock.now();
}
