import { memo, useState } from 'react';
import type { Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import type { ChatRow } from '../model/rows.ts';
import { textOf } from '../model/text.ts';
import { ago, clockTime, dayName, fullTime } from '../model/when.ts';
import { Failure, type Remedies } from '../pane/Failure.tsx';
import { Icon } from '../pane/Icon.tsx';
import { addressOf } from './place.ts';

interface BubbleProps extends Remedies {
  readonly row: ChatRow;
  readonly roomId: string;
  /** The link in the address leads here. */
  readonly linked: boolean;
  /** The message's time by the server's clock. */
  readonly at: Date;
  /** The server's time to the minute, in epoch milliseconds: what is told as "5 min. ago". */
  readonly now: number;
  /** A long text is shown whole. */
  readonly onUnfold: () => void;
}

/** One message and what stands above it. It keeps its DOM node, and its height, from the keystroke to the tick. */
export const Bubble = memo(({ row, roomId, linked, at, now, onUnfold, ...remedies }: BubbleProps) => {
  const { message, follows } = row;
  const text = textOf(message.data);
  return (
    <>
      {row.newDay && <p className="divider">{dayName(at, now)}</p>}
      {row.firstUnread && <p className="divider divider-new">New</p>}
      <article
        className="bubble-row"
        data-own={message.own}
        data-follows={follows}
        data-linked={linked}
        data-tag={message.tag}
        data-seq={message.seq ?? undefined}
        data-delivery={message.delivery}
      >
        {!follows && <Head message={message} at={at} now={now} />}
        <div className="bubble" dir="auto">
          <Text text={text} onUnfold={onUnfold} />
          <span className="bubble-foot">
            <Time message={message} roomId={roomId} at={at} />
            {message.own && (
              <span className="tick" title={message.delivery}>
                <Icon name={message.delivery} />
                <span className="unseen">{message.delivery}</span>
              </span>
            )}
          </span>
        </div>
        {message.delivery === 'failed' && <Failure message={message} lead="Not sent. " {...remedies} />}
      </article>
    </>
  );
});

/** Longer texts are shown by their beginning until they are asked for. */
const longText = 1_500;

function Text({ text, onUnfold }: { readonly text: string; readonly onUnfold: () => void }) {
  const [whole, setWhole] = useState(false);
  const toggle = () => {
    if (!whole) onUnfold();
    setWhole(!whole);
  };
  if (text.length <= longText) return <span className="bubble-text">{text}</span>;
  return (
    <>
      <span className="bubble-text" data-cut={!whole}>
        {text}
      </span>
      <button type="button" className="quiet-button" aria-expanded={whole} onClick={toggle}>
        {whole ? 'Show less' : `Show all ${text.length.toLocaleString()} characters`}
      </button>
    </>
  );
}

function Head({ message, at, now }: Pick<BubbleProps, 'at' | 'now'> & { readonly message: Message<Body> }) {
  return (
    <p className="bubble-head">
      {!message.own && (
        <span className="bubble-face" aria-hidden="true">
          {message.author.slice(0, 1)}
        </span>
      )}
      <b dir="auto">{message.own ? 'You' : message.author}</b>
      <span className="bubble-ago">{ago(at, now)}</span>
    </p>
  );
}

/** The time of day, which is the link to the message once it has its place. */
function Time({
  message,
  roomId,
  at,
}: Pick<BubbleProps, 'roomId' | 'at'> & { readonly message: Message<Body> }) {
  const time = (
    <time dateTime={at.toISOString()} title={fullTime(at)}>
      {clockTime(at)}
    </time>
  );
  if (message.seq === null) return time;
  return (
    <a href={addressOf(roomId, message.seq)} aria-label={`Link to this message, ${fullTime(at)}`}>
      {time}
    </a>
  );
}
