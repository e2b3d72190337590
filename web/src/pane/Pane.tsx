import { useCallback, useEffect, useRef } from 'react';
import { RoomlogProvider, RoomProvider, useMessages } from 'roomlog/react';
import type { Body, Guest } from '../guest/guest.ts';
import { Composer } from './Composer.tsx';
import { ConnectionLine } from './ConnectionLine.tsx';
import { useReadable } from './hooks.ts';
import { MessageList } from './MessageList.tsx';
import { SeqStrip } from './SeqStrip.tsx';
import { TunnelNote } from './TunnelNote.tsx';
import { TunnelSwitch } from './TunnelSwitch.tsx';

interface PaneProps {
  readonly guest: Guest;
  /** This pane is the one in use: its messages are read aloud. */
  readonly active: boolean;
  readonly onUse: () => void;
  /** The cursor starts here. */
  readonly focused?: boolean;
}

/** One guest at work: who, how connected, the conversation, the composer, and the strip of what came. */
export function Pane(props: PaneProps) {
  const { guest, active, onUse } = props;
  const crossing = useReadable(guest.crossing.state);
  return (
    <RoomlogProvider client={guest.client}>
      <RoomProvider id={guest.room.id}>
        <section
          className="pane"
          aria-label={guest.name}
          data-guest={guest.name}
          data-tunnel={crossing.kind}
          onFocus={onUse}
        >
          <header className="pane-head">
            <span className="face" aria-hidden="true">
              {guest.name.slice(0, 1)}
            </span>
            <h2>{guest.name}</h2>
            <ConnectionLine speaks={active} />
            <TunnelSwitch guest={guest} />
          </header>
          <TunnelNote guest={guest} />
          <Conversation {...props} />
          <SeqStrip guest={guest} />
        </section>
      </RoomProvider>
    </RoomlogProvider>
  );
}

function Conversation({ guest, active, focused }: PaneProps) {
  const { messages, send, retry, discard, loadOlder, hasOlder, isPending, error } = useMessages<Body>();
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (focused) field.current?.focus({ preventScroll: true });
  }, [focused]);
  const edit = useCallback(
    (tag: string, text: string) => {
      discard(tag);
      if (!field.current) return;
      field.current.value = text;
      field.current.focus();
    },
    [discard],
  );
  const onSend = (text: string) => {
    send({ text }).catch(() => {}); // the row itself says what went wrong
  };
  return (
    <>
      <MessageList
        messages={messages}
        name={guest.name}
        roomId={guest.room.id}
        loading={isPending}
        error={error}
        hasOlder={hasOlder}
        loadOlder={loadOlder}
        aloud={active}
        retry={retry}
        edit={edit}
        discard={discard}
      />
      <Composer name={guest.name} field={field} onSend={onSend} />
    </>
  );
}
