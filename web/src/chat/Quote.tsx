import { useEffect, useState } from 'react';
import type { Message } from 'roomlog';
import { useMessages, useRoom } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { textOf } from '../model/text.ts';
import { PlaceLink } from './PlaceLink.tsx';

/** The message that another one answers, as a link to it. It has its height before the message is known. */
export function Quote({ seq, roomId }: { readonly seq: number; readonly roomId: string }) {
  const message = useMessage(seq);
  return (
    <PlaceLink className="quote" room={roomId} seq={seq} aria-label={`Answers: ${labelOf(message)}`}>
      <b dir="auto">{message ? (message.own ? 'You' : message.author) : '…'}</b>
      <span dir="auto">{message ? wordsOf(message) : 'An earlier message'}</span>
    </PlaceLink>
  );
}

/** A message in one line. */
export function wordsOf({ deleted, data }: Message<Body>): string {
  return deleted ? 'This message was deleted.' : textOf(data).slice(0, 200);
}

function labelOf(message: Message<Body> | undefined): string {
  return message
    ? `${message.own ? 'You' : message.author}: ${wordsOf(message).slice(0, 60)}`
    : 'an earlier message';
}

/** A message of the room: as it is shown here, or as it is read from history. */
function useMessage(seq: number): Message<Body> | undefined {
  const { room } = useRoom<Body>();
  const shown = useMessages<Message<Body> | undefined, Body>(
    ({ messages }) => messages.find(message => message.seq === seq),
    Object.is,
  );
  const [read, setRead] = useState<Message<Body>>();
  const isShown = shown !== undefined;
  useEffect(() => {
    if (isShown) return;
    let wanted = true;
    room.messages.history({ around: seq, limit: 1 }).then(
      ({ items }) => wanted && setRead(items.find(message => message.seq === seq)),
      () => {}, // it stays an earlier message, and the link says why it cannot be shown
    );
    return () => {
      wanted = false;
    };
  }, [room, seq, isShown]);
  return shown ?? read;
}
