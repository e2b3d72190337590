import { useEffect, useRef, useState } from 'react';
import type { Message, RoomlogError } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { keyOf } from '../model/rows.ts';
import { count } from '../model/words.ts';
import type { Remedies } from './Failure.tsx';
import { Icon } from './Icon.tsx';
import { MessageRow } from './MessageRow.tsx';
import { useStickyScroll } from './useStickyScroll.ts';

interface ListProps extends Remedies {
  readonly messages: readonly Message<Body>[];
  readonly name: string;
  readonly roomId: string;
  readonly loading: boolean;
  readonly error: RoomlogError | undefined;
  readonly hasOlder: boolean;
  readonly loadOlder: () => void;
  /** New messages are read aloud: of two panes with the same conversation, only the one in use. */
  readonly aloud: boolean;
}

/** A page of rows; more are shown when they are asked for. */
const rowsAtOnce = 200;

/** The conversation, newest last. */
export function MessageList({
  messages,
  name,
  roomId,
  loading,
  error,
  hasOlder,
  loadOlder,
  aloud,
  ...remedies
}: ListProps) {
  const box = useRef<HTMLDivElement>(null);
  const [rows, setRows] = useState(rowsAtOnce);
  const shown = messages.slice(-rows);
  const { atBottom, onScroll, toBottom } = useStickyScroll(box, messages.length, shown[0]?.tag);
  const unseen = useUnseen(messages, name, atBottom);
  const showOlder = () => {
    setRows(n => n + rowsAtOnce);
    if (rows + rowsAtOnce > messages.length && hasOlder) loadOlder();
  };
  return (
    <div className="talk">
      <div
        ref={box}
        className="talk-scroll"
        role="log"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        tabIndex={0}
        aria-label={`Messages in ${roomId}, seen by ${name}`}
        aria-live={aloud && atBottom ? 'polite' : 'off'}
        aria-relevant="additions"
        aria-busy={loading}
        onScroll={onScroll}
      >
        {messages.length > 0 && (
          <Beginning more={hasOlder || shown.length < messages.length} onMore={showOlder} />
        )}
        {messages.length === 0 && <Empty loading={loading} error={error} />}
        <ol className="rows">
          {shown.map((message, i) => (
            <MessageRow
              key={keyOf(message)}
              message={message}
              own={message.own}
              follows={shown[i - 1]?.author === message.author}
              {...remedies}
            />
          ))}
        </ol>
      </div>
      {unseen > 0 && (
        <button type="button" className="talk-new" onClick={toBottom}>
          <Icon name="down" />
          {count(unseen, 'new message')}
        </button>
      )}
    </div>
  );
}

/** What stands above the first row, at one height whether there is more or not. */
function Beginning({ more, onMore }: { readonly more: boolean; readonly onMore: () => void }) {
  return (
    <p className="talk-beginning">
      {more ? (
        <button type="button" className="quiet-button" onClick={onMore}>
          Show earlier messages
        </button>
      ) : (
        'The room begins here.'
      )}
    </p>
  );
}

function Empty({ loading, error }: { readonly loading: boolean; readonly error: RoomlogError | undefined }) {
  if (error) return <p className="talk-empty">The room cannot be opened: {error.message}</p>;
  return <p className="talk-empty">{loading ? 'Opening the room…' : 'Nobody has said anything yet.'}</p>;
}

/** How many messages of others came while the end of the list was out of sight. */
function useUnseen(messages: readonly Message<Body>[], name: string, atBottom: boolean): number {
  const [seen, setSeen] = useState(0);
  const others = messages.reduce((n, m) => (m.author === name || m.seq === null ? n : Math.max(n, m.seq)), 0);
  useEffect(() => {
    if (atBottom) setSeen(others);
  }, [atBottom, others]);
  if (atBottom) return 0;
  return messages.filter(m => m.author !== name && m.seq !== null && m.seq > seen).length;
}
