import { memo } from 'react';
import type { Delivery, Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { textOf } from '../model/text.ts';
import { Failure, type Remedies } from './Failure.tsx';
import { Icon } from './Icon.tsx';

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

interface RowProps extends Remedies {
  readonly message: Message<Body>;
  readonly own: boolean;
  /** The message before is by the same author: the name is not said again. */
  readonly follows: boolean;
}

/** One message. It keeps its place and its DOM node from the keystroke to the tick. */
export const MessageRow = memo(({ message, own, follows, ...remedies }: RowProps) => {
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
        {textOf(message.data)}
      </p>
      <p className="row-foot">
        <time dateTime={message.at.toISOString()} title={message.at.toLocaleString()}>
          {timeOfDay.format(message.at)}
        </time>
        {own && <DeliveryState delivery={message.delivery} />}
      </p>
      {message.delivery === 'failed' && <Failure message={message} {...remedies} />}
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
