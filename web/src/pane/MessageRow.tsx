import { memo } from 'react';
import type { Delivery, Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { textOf } from '../model/text.ts';
import { Icon } from './Icon.tsx';

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** What can be done with a message that was refused. */
export interface Remedies {
  readonly retry: (tag: string) => void;
  readonly edit: (tag: string, text: string) => void;
  readonly discard: (tag: string) => void;
}

interface RowProps extends Remedies {
  readonly message: Message<Body>;
  readonly own: boolean;
  /** The message before is by the same author: the name is not said again. */
  readonly follows: boolean;
}

/** One message. It keeps its place and its DOM node from the keystroke to the tick. */
export const MessageRow = memo(({ message, own, follows, ...remedies }: RowProps) => {
  const text = textOf(message.data);
  return (
    <li
      className="row"
      data-own={own}
      data-follows={follows}
      data-tag={message.tag}
      data-seq={message.seq ?? undefined}
      data-delivery={message.delivery}
    >
      {!follows && <p className="row-author">{own ? 'You' : message.author}</p>}
      <p className="row-text" dir="auto">
        {text}
      </p>
      <p className="row-foot">
        <time dateTime={message.at.toISOString()} title={message.at.toLocaleString()}>
          {timeOfDay.format(message.at)}
        </time>
        {own && <DeliveryState delivery={message.delivery} />}
      </p>
      {message.delivery === 'failed' && <Failure message={message} text={text} {...remedies} />}
    </li>
  );
});

function DeliveryState({ delivery }: { readonly delivery: Delivery }) {
  return (
    <span className="delivery">
      <Icon name={delivery} />
      {delivery}
    </span>
  );
}

function Failure({
  message,
  text,
  retry,
  edit,
  discard,
}: Remedies & { readonly message: Message<Body>; readonly text: string }) {
  return (
    <div className="failure">
      <p>
        {message.error?.message ?? 'The server refused it.'}{' '}
        {message.error && <a href={message.error.docs}>Why</a>}
      </p>
      <button type="button" className="quiet-button" onClick={() => retry(message.tag)}>
        Retry
      </button>
      <button type="button" className="quiet-button" onClick={() => edit(message.tag, text)}>
        Edit
      </button>
      <button type="button" className="quiet-button" onClick={() => discard(message.tag)}>
        Discard
      </button>
    </div>
  );
}
