import { memo, useState } from 'react';
import type { Message, OwnChange } from 'roomlog';
import { useClient } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { isText } from '../model/kept.ts';
import { splitMentions } from '../model/mentions.ts';
import type { ChatRow } from '../model/rows.ts';
import { textOf } from '../model/text.ts';
import { ago, clockTime, dayName, fullTime } from '../model/when.ts';
import { Failure, type Remedies } from '../pane/Failure.tsx';
import { Icon } from '../pane/Icon.tsx';
import { useActs } from './acts.ts';
import { PlaceLink } from './PlaceLink.tsx';
import { Quote } from './Quote.tsx';
import { Reactions } from './Reactions.tsx';
import { Tick } from './Tick.tsx';

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
  const grows = message.data?.streaming === true;
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
        data-gone={message.deleted !== undefined}
        data-grows={grows}
      >
        {!follows && <Head message={message} at={at} now={now} />}
        <div className="bubble-line">
          <div className="bubble" dir="auto">
            {message.replyTo !== undefined && <Quote seq={message.replyTo} roomId={roomId} />}
            {message.deleted ? (
              <span className="bubble-gone">{goneWords(message)}</span>
            ) : (
              <Text text={text} grows={grows} mentions={message.mentions} onUnfold={onUnfold} />
            )}
            <span className="bubble-foot">
              <History message={message} />
              <Time message={message} roomId={roomId} at={at} />
              {message.own && !message.deleted && <Tick message={message} />}
            </span>
          </div>
          {message.seq !== null && !message.deleted && <More message={message} />}
        </div>
        <Reactions message={message} />
        {message.delivery === 'failed' && <Failure message={message} lead="Not sent. " {...remedies} />}
        {message.change?.delivery === 'failed' && <ChangeFailure change={message.change} {...remedies} />}
      </article>
    </>
  );
});

/** Longer texts are shown by their beginning until they are asked for. */
const longText = 1_500;

interface TextProps {
  readonly text: string;
  readonly grows: boolean;
  readonly mentions: readonly string[];
  readonly onUnfold: () => void;
}

function Text({ text, grows, mentions, onUnfold }: TextProps) {
  const [whole, setWhole] = useState(grows); // what was read as it came is not folded when it ends
  const toggle = () => {
    if (!whole) onUnfold();
    setWhole(!whole);
  };
  const marked = <Mentions text={text} users={mentions} />;
  if (grows || text.length <= longText)
    return (
      <span className="bubble-text">
        {marked}
        {grows && <span className="unseen">is writing…</span>}
      </span>
    );
  return (
    <>
      <span className="bubble-text" data-cut={!whole}>
        {marked}
      </span>
      <button type="button" className="quiet-button" aria-expanded={whole} onClick={toggle}>
        {whole ? 'Show less' : `Show all ${text.length.toLocaleString()} characters`}
      </button>
    </>
  );
}

/** A text with the mentions in it set apart. */
function Mentions({ text, users }: { readonly text: string; readonly users: readonly string[] }) {
  const me = useClient().user;
  if (!Array.isArray(users) || users.length === 0) return text;
  return splitMentions(text, users.filter(isText)).map(({ text, user }, i) =>
    user === null ? (
      text
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text have no other name
      <span key={i} className="mention" data-own={user === me}>
        {text}
      </span>
    ),
  );
}

/** What became of a message since it began, in a word. */
function History({ message: { data, edited } }: { readonly message: Message<Body> }) {
  if (data?.aborted) return <span>stopped</span>;
  return edited && !data?.streamed ? <span title={fullTime(edited.at)}>(edited)</span> : null;
}

/** Who took a message back. */
function goneWords({ own, author, deleted }: Message<Body>): string {
  if (deleted?.by !== author) return `Deleted by ${deleted?.by}.`;
  return own ? 'You deleted this message.' : 'This message was deleted.';
}

function More({ message }: { readonly message: Message<Body> }) {
  const { openMenu, locked } = useActs();
  if (locked) return null;
  return (
    <button
      type="button"
      className="more"
      aria-haspopup="dialog"
      aria-label={`More, for ${message.own ? 'your message' : `the message of ${message.author}`}`}
      onClick={event => openMenu(message, event.currentTarget)}
    >
      <Icon name="more" />
    </button>
  );
}

const changeWords: Readonly<Record<string, string>> = {
  edit: 'Your edit was not saved.',
  delete: 'It was not deleted.',
  reaction: 'Your reaction was not saved.',
};

/** Why a change of a message was refused: the message is as it was. */
function ChangeFailure({ change, retry, discard }: Remedies & { readonly change: OwnChange }) {
  const { tag, type, error } = change;
  return (
    <div className="failure">
      <p>
        {changeWords[type]} {error?.message} {error && <a href={error.docs}>Why</a>}
      </p>
      <button type="button" className="quiet-button" onClick={() => retry(tag)}>
        Retry
      </button>
      <button type="button" className="quiet-button" onClick={() => discard(tag)}>
        Discard
      </button>
    </div>
  );
}

function Head({ message, at, now }: Pick<BubbleProps, 'at' | 'now'> & { readonly message: Message<Body> }) {
  return (
    <p className="bubble-head">
      {!message.own && (
        <span className="bubble-face" aria-hidden="true">
          {[...message.author][0]}
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
    <PlaceLink room={roomId} seq={message.seq} aria-label={`Link to this message, ${fullTime(at)}`}>
      {time}
    </PlaceLink>
  );
}
