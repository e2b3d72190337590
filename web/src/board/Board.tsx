import { useState } from 'react';
import { createClient } from 'roomlog';
import { indexedDBStorage } from 'roomlog/indexeddb';
import { RoomlogProvider, RoomProvider } from 'roomlog/react';
import { guestName } from '../cursors/who.ts';
import { devToken } from '../guest/devapi.ts';
import { ServerClock } from '../model/when.ts';
import { TopBar } from '../theme/TopBar.tsx';
import { Desk } from './Desk.tsx';

/** The page: one guest at a board of cards that others change too. */
export function Board() {
  const [{ client, room, clock }] = useState(enter);
  return (
    <RoomlogProvider client={client}>
      <TopBar here="board" />
      <RoomProvider id={room}>
        <Desk clock={clock} />
      </RoomProvider>
    </RoomlogProvider>
  );
}

/** A guest of this window, and the room that the address names or that is there by itself. */
function enter() {
  const user = guestName();
  const room = new URLSearchParams(location.search).get('room') || 'board:plan';
  const clock = new ServerClock();
  const token = async ({ signal }: { signal: AbortSignal }) => {
    const { token, serverTime } = await devToken(user, signal);
    clock.set(serverTime, Date.now());
    return token;
  };
  const storage = indexedDBStorage();
  return { client: createClient({ url: location.origin, token, user, storage }), room, clock };
}
