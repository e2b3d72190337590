import { type ComponentProps, type RefObject, useCallback, useEffect, useState } from 'react';
import { Virtuoso, type VirtuosoHandle } from 'react-virtuoso';
import type { Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { type Anchor, type ChatRow, keyOf, noAnchor, reanchor } from '../model/rows.ts';
import { fullTime, type ServerClock } from '../model/when.ts';
import type { Remedies } from '../pane/Failure.tsx';
import { useNow } from '../pane/hooks.ts';
import { Bubble } from './Bubble.tsx';
import type { Place } from './place.ts';
import type { Stretch } from './useStretch.ts';

interface LogProps extends Remedies {
  readonly rows: readonly ChatRow[];
  readonly stretch: Stretch;
  readonly roomId: string;
  readonly jump: Place['jump'];
  readonly clock: ServerClock;
  /** New messages are read aloud; never what comes above, nor while the end is out of sight. */
  readonly aloud: boolean;
  readonly onAtEnd: (atEnd: boolean) => void;
  readonly handle: RefObject<VirtuosoHandle | null>;
}

/** What the list's own parts are told. */
interface Context {
  readonly stretch: Stretch;
  readonly first: Message<Body> | undefined;
}

/** How far from the end is still at the end. */
const nearPx = 40;

/** How long a list that grows may be away from its end before the reader counts as having left it. */
const settleMs = 200;

/** The conversation, of which only what is in sight is in the document. */
export function Log({ rows, stretch, roomId, jump, clock, aloud, onAtEnd, handle, ...remedies }: LogProps) {
  const anchor = useAnchor(rows);
  const now = useMinute(clock);
  // In history, more rows at the end are no news, nor are those by which it meets the newest: a reader is not taken along
  // until the newest end was reached. A function would not do: the list asks it about new rows, not about higher ones.
  const [follows, setFollows] = useState(stretch.isLive);
  if (follows && !stretch.isLive) setFollows(false);
  const newest = rows.at(-1);
  const { atEnd, scroller } = useEnd(
    onAtEnd,
    follows,
    newest && keyOf(newest.message),
    jump === null && !rows.some(row => row.firstUnread),
  );
  // Whoever unfolds a long message reads on from its beginning.
  const stay = useCallback(() => setFollows(false), []);
  return (
    <Virtuoso<ChatRow, Context>
      key={`${roomId} ${jump?.count ?? ''} ${anchor.generation}`}
      ref={handle}
      scrollerRef={scroller}
      className="log"
      role="log"
      aria-label={`Messages in ${roomId}`}
      aria-live={aloud ? 'polite' : 'off'}
      aria-relevant="additions"
      aria-busy={stretch.isPending}
      data={rows}
      context={{ stretch, first: rows[0]?.message }}
      components={parts}
      firstItemIndex={anchor.first}
      initialTopMostItemIndex={beginning(rows, jump)}
      computeItemKey={(_, { message }) => keyOf(message)}
      itemContent={(_, row) => (
        <Bubble
          row={row}
          roomId={roomId}
          linked={jump !== null && row.message.seq === jump.seq}
          at={row.message.seq === null ? clock.fromDevice(row.message.at) : row.message.at}
          now={now}
          onUnfold={stay}
          {...remedies}
        />
      )}
      alignToBottom
      atBottomThreshold={nearPx}
      atBottomStateChange={isAtBottom => {
        if (isAtBottom && stretch.isLive) setFollows(true);
        atEnd(isAtBottom);
      }}
      followOutput={follows && 'auto'}
      startReached={() => stretch.hasOlder && stretch.loadOlder()}
      endReached={() => !stretch.isLive && stretch.loadNewer()}
      increaseViewportBy={{ top: 600, bottom: 300 }}
    />
  );
}

/** Where the list opens: at the linked message, at the first unread one, or at its end. */
function beginning(rows: readonly ChatRow[], jump: Place['jump']) {
  // A seq may belong to an event that is no message: then the one before it.
  const linked = jump ? rows.findLastIndex(r => r.message.seq !== null && r.message.seq <= jump.seq) : -1;
  if (jump) return { index: Math.max(0, linked), align: 'center' as const };
  const unread = rows.findIndex(r => r.firstUnread);
  if (unread >= 0) return { index: unread, align: 'center' as const };
  return { index: rows.length - 1, align: 'end' as const };
}

const parts = {
  Header: ({ context }: { readonly context?: Context }) => {
    if (!context) return null;
    const { stretch, first } = context;
    return <p className="log-beginning">{stretch.hasOlder ? 'Loading earlier messages…' : opening(first)}</p>;
  },
  Footer: ({ context }: { readonly context?: Context }) =>
    context && !context.stretch.isLive ? (
      <p className="log-beginning">Loading later messages…</p>
    ) : (
      <div className="log-end" />
    ),
  Item: ({ item: _, ...props }: ComponentProps<'div'> & { readonly item: unknown }) => <div {...props} />,
};

/** What stands above the first message there is. */
function opening(first: Message<Body> | undefined): string {
  if (!first || first.seq === null || first.seq === 1) return 'The room begins here.';
  return `History before ${fullTime(first.at)} is no longer kept.`;
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

/**
 * Tells `told` at once that the end was reached, and that it was left when that is still so a little later. Whoever is at
 * the end and goes along with it (`follows`) stays there when the box changes size (a phone's keyboard, a rotated screen), and when
 * more comes at once than the list keeps up with, unless they scroll up.
 */
function useEnd(
  told: (atEnd: boolean) => void,
  follows: boolean,
  last: string | undefined,
  opensAtEnd: boolean,
) {
  const [end] = useState(() => new End());
  useEffect(() => end.hear(told, follows, opensAtEnd));
  // biome-ignore lint/correctness/useExhaustiveDependencies: another last row is what it is about
  useEffect(() => end.grew(), [end, last]);
  return end;
}

/** For how long after the last new row the list may be busy with it. */
const busyMs = 1_000;

const upward = new Set(['ArrowUp', 'PageUp', 'Home']);

class End {
  #isAtEnd = false;
  /** Whether the list, when it is opened, begins at its end. */
  #opensAtEnd = false;
  #follows = false;
  #tell: (atEnd: boolean) => void = () => {};
  #box: HTMLElement | undefined;
  #unbind = new AbortController();
  /** Whether the reader began to scroll up since they were at the end. */
  #goesUp = false;
  #grewAt = Number.NEGATIVE_INFINITY;
  #leaving: ReturnType<typeof setTimeout> | undefined;
  // Not by the list: it does not know its new height yet.
  readonly #watching = new ResizeObserver(() => this.#isAtEnd && this.#toEnd());

  hear(tell: (atEnd: boolean) => void, follows: boolean, opensAtEnd: boolean): void {
    this.#tell = tell;
    this.#opensAtEnd = opensAtEnd;
    this.#follows = follows;
  }

  grew(): void {
    this.#grewAt = performance.now();
  }

  readonly atEnd = (is: boolean): void => {
    clearTimeout(this.#leaving);
    if (is) {
      this.#goesUp = false;
      this.#set(true);
    } else this.#leaving = setTimeout(() => this.#left(), settleMs);
  };

  readonly scroller = (next: HTMLElement | Window | null): void => {
    this.#watching.disconnect();
    this.#unbind.abort();
    clearTimeout(this.#leaving);
    this.#box = next instanceof HTMLElement ? next : undefined;
    if (!this.#box) return;
    this.#watching.observe(this.#box);
    // Where its rows are higher than it thought, it opens above its end, and says nothing.
    this.#leaving = setTimeout(() => this.#opensAtEnd && !this.#isAtEnd && this.#left(), settleMs);
    this.#unbind = new AbortController();
    const options = { passive: true, signal: this.#unbind.signal };
    const goesUp = () => {
      this.#goesUp = true;
    };
    this.#box.addEventListener('wheel', event => event.deltaY < 0 && goesUp(), options);
    this.#box.addEventListener('touchmove', goesUp, options);
    this.#box.addEventListener('keydown', event => upward.has(event.key) && goesUp(), options);
  };

  #left(): void {
    if (!this.#follows || this.#goesUp || performance.now() - this.#grewAt > busyMs) {
      this.#set(false);
      return;
    }
    this.#toEnd();
    this.#leaving = setTimeout(() => this.#left(), settleMs); // unless the list says that it is there
  }

  #toEnd(): void {
    if (this.#box) this.#box.scrollTop = this.#box.scrollHeight;
  }

  #set(isAtEnd: boolean): void {
    this.#isAtEnd = isAtEnd;
    this.#tell(isAtEnd);
  }
}
