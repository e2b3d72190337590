import { type SubmitEvent, useId, useState } from 'react';
import type { Message } from 'roomlog';
import { useRooms } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { clockTime } from '../model/when.ts';
import { count } from '../model/words.ts';
import { useReadable } from '../pane/hooks.ts';
import type { Account } from './account.ts';
import { PlaceLink } from './PlaceLink.tsx';
import { goTo } from './place.ts';
import { wordsOf } from './Quote.tsx';

/** The rooms of an account, with what is new in each, and a way into any other. */
export function RoomList({
  account,
  current,
  onPick,
}: {
  readonly account: Account;
  readonly current: string;
  readonly onPick?: () => void;
}) {
  const rooms = useReadable(account.rooms);
  const unread = useReadable(account.unread);
  const pick = (id: string) => {
    goTo(id);
    onPick?.();
  };
  return (
    <nav className="rooms" aria-label="Rooms">
      <ul>
        {rooms.map(id => (
          <li key={id}>
            <RoomLink
              account={account}
              id={id}
              unread={id === current ? 0 : (unread[id] ?? 0)}
              isCurrent={id === current}
              onPick={() => pick(id)}
            />
          </li>
        ))}
      </ul>
      <OpenRoom onOpen={pick} />
    </nav>
  );
}

function RoomLink({
  account,
  id,
  unread,
  isCurrent,
  onPick,
}: {
  readonly account: Account;
  readonly id: string;
  readonly unread: number;
  readonly isCurrent: boolean;
  readonly onPick: () => void;
}) {
  const room = account.room(id);
  const { last: latest, mentions = 0 } = useRooms(rooms => rooms.find(each => each.room === id)) ?? {};
  // What is not sent yet is known here alone; of a room that is not loaded yet only the server knows.
  const last = useReadable(room.messages.list).at(-1) ?? (latest as Message<Body> | undefined);
  const draft = useReadable(account.drafts)[id];
  return (
    <PlaceLink
      className="room-link"
      room={id}
      aria-current={isCurrent ? 'page' : undefined}
      onFollow={onPick}
    >
      <span className="room-name">{nameOf(id)}</span>
      <span className="room-time">{last && clockTime(last.at)}</span>
      <span className="room-last" dir="auto">
        {draft && !isCurrent ? `Draft: ${draft}` : lastWords(last)}
      </span>
      {unread > 0 && (
        <span className="badge">
          {unread > 999 ? '999+' : unread}
          <span className="unseen">
            {' '}
            {count(unread, 'new message').replace(/^\d+ /, '')}
            {mentions > 0 && `, ${count(mentions, 'mention')} of you`}
          </span>
          {mentions > 0 && <span aria-hidden="true">@</span>}
        </span>
      )}
    </PlaceLink>
  );
}

function lastWords(last: Message<Body> | undefined): string {
  if (!last) return 'Nothing yet';
  const who = last.delivery === 'failed' ? 'Not sent' : last.own ? 'You' : last.author;
  return `${who}: ${wordsOf(last).slice(0, 120)}`;
}

/** A field that opens a room by name; without a kind it is a chat. */
function OpenRoom({ onOpen }: { readonly onOpen: (id: string) => void }) {
  const id = useId();
  const [name, setName] = useState('');
  const open = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const room = name.trim();
    if (!room) return;
    setName('');
    onOpen(room.includes(':') ? room : `chat:${room}`);
  };
  return (
    <form className="open-room" onSubmit={open}>
      <label htmlFor={id}>Open another room</label>
      <input
        id={id}
        value={name}
        onChange={event => setName(event.target.value)}
        placeholder="name"
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
      />
      <button type="submit" className="plain-button">
        Open
      </button>
    </form>
  );
}

/** A room as it is called here: without the kind where that is the usual one. */
export function nameOf(id: string): string {
  return id.startsWith('chat:') ? id.slice('chat:'.length) : id;
}
