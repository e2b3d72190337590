import { type RefObject, useState } from 'react';
import type { Message } from 'roomlog';
import { useMessages, useRoom } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { mentionsIn } from '../model/mentions.ts';
import { questionIn } from '../model/script.ts';
import { textOf } from '../model/text.ts';
import type { Account } from './account.ts';
import { answers } from './answers.ts';
import type { Writing } from './Writer.tsx';

const own: Writing = { kind: 'message' };

/** What is being written in a room, and what becomes of it. */
export function useWriting(
  account: Account,
  field: RefObject<HTMLTextAreaElement | null>,
  onSaid: () => void,
) {
  const { room } = useRoom<Body>();
  const { messages, send, edit } = useMessages<Body>();
  const [writing, setWriting] = useState<Writing>(own);
  const id = room.id;
  const show = (text: string) => {
    if (!field.current) return;
    field.current.value = text;
    field.current.focus();
  };
  const begin = (next: Writing) => {
    setWriting(next);
    if (next.kind === 'edit') show(textOf(next.message.data));
    else field.current?.focus();
  };
  const end = () => {
    // What was begun before the edit was never sent.
    if (writing.kind === 'edit') show(account.drafts.get()[id] ?? '');
    setWriting(own);
  };
  return {
    writing,
    answer: (message: Message<Body>) => {
      if (writing.kind === 'edit') end();
      begin({ kind: 'answer', message });
    },
    edit: (message: Message<Body>) => begin({ kind: 'edit', message }),
    editLast: () => {
      const last = messages.findLast(m => m.own && !m.deleted && m.delivery !== 'failed');
      if (last) begin({ kind: 'edit', message: last });
    },
    cancel: end,
    /** Hears each change of the text: what an edit has is no draft. */
    draft: (text: string) => writing.kind !== 'edit' && account.keepDraft(id, text),
    say: (written: string) => {
      const question = writing.kind === 'edit' ? null : questionIn(written);
      const text = question ?? written;
      const mentions = mentionsIn(text, usersOf(messages, room.presence.others.get()));
      const body = { text, ...(mentions.length > 0 && { mentions }) };
      if (writing.kind === 'edit') {
        const { message } = writing;
        const before = message.data as Body;
        const about = before?.reply_to === undefined ? {} : { reply_to: before.reply_to };
        if (text !== textOf(message.data))
          edit(message.seq ?? message.tag, { ...about, ...body }).catch(() => {}); // the row itself says what went wrong
        queueMicrotask(end); // the composer empties itself first
        return;
      }
      const about = writing.kind === 'answer' ? writing.message.seq : null;
      send(about === null ? body : { ...body, reply_to: about }).then(
        ({ tag, seq }) => question !== null && seq !== null && answers.ask({ room: id, tag, about: seq }),
        () => {},
      );
      setWriting(own);
      onSaid();
    },
  };
}

/** Whom a text may mention: who wrote here, and who is here. */
function usersOf(messages: readonly Message<Body>[], here: readonly { readonly user: string }[]): string[] {
  return [...new Set([...messages.map(({ author }) => author), ...here.map(({ user }) => user)])];
}
