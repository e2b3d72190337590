import { type RefObject, useCallback, useEffect, useState } from 'react';
import type { Message } from 'roomlog';
import { useMessages, useRoom } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';

/** For how long a sentence waits to be read aloud. */
const saidMs = 5_000;

/** Reactions and deletions, and what is said of them to whoever does not see the row. */
export function useChanges(field: RefObject<HTMLTextAreaElement | null>) {
  const { room } = useRoom<Body>();
  const { react, unreact, remove: removeMessage } = useMessages<Body>();
  const [said, say] = useState('');
  useEffect(() => {
    if (said === '') return;
    const saying = setTimeout(() => say(''), saidMs);
    return () => clearTimeout(saying);
  }, [said]);
  useEffect(
    () =>
      room.on('event', ({ type, via, own, author, target, data }) => {
        const ended = type === 'edit' && via === 'live' && endWords(author, data as { data?: Body } | null);
        if (ended) say(ended);
        if (type !== 'reaction' || via !== 'live' || own) return;
        const { emoji, remove } = data as { emoji: string; remove?: boolean };
        const isOwn = room.messages.list.get().some(m => m.own && m.seq === target);
        if (isOwn && !remove) say(`${author} reacted with ${emoji} to your message.`);
      }),
    [room],
  );
  const toggle = useCallback(
    (message: Message<Body>, emoji: string) => {
      const had = message.reactions.some(reaction => reaction.emoji === emoji && reaction.mine);
      const change = had ? unreact : react;
      change(message.seq ?? message.tag, emoji).catch(() => {}); // the row itself says what went wrong
      say(had ? `You took ${emoji} back.` : `You reacted with ${emoji}.`);
    },
    [react, unreact],
  );
  const remove = useCallback(
    (message: Message<Body>) => {
      removeMessage(message.seq ?? message.tag).catch(() => {});
      say('Message deleted.');
      field.current?.focus({ preventScroll: true }); // the button that had the focus has gone with the message
    },
    [removeMessage, field],
  );
  return { said, toggle, remove };
}

/** An answer that came word by word, when it has ended; nothing of another edit. */
function endWords(author: string, edit: { readonly data?: Body } | null): string {
  const { streamed, aborted, text = '' } = edit?.data ?? {};
  return streamed || aborted ? `${author}: ${text}${aborted ? ' (stopped)' : ''}` : '';
}
