import { useState } from 'react';
import { createClient } from 'roomlog';
import { RoomlogProvider, RoomProvider } from 'roomlog/react';
import { devToken } from '../guest/devapi.ts';
import { TopBar } from '../theme/TopBar.tsx';
import { Area } from './Area.tsx';
import { guestName } from './who.ts';

/** The page: one guest in one room, where everybody sees everybody's pointer. */
export function Cursors() {
  const [{ client, room }] = useState(enter);
  return (
    <RoomlogProvider client={client}>
      <TopBar here="cursors" />
      <RoomProvider id={room}>
        <Area />
      </RoomProvider>
    </RoomlogProvider>
  );
}

/** A guest of this window, and the room that the address names or that is there by itself. */
function enter() {
  const user = guestName();
  const room = new URLSearchParams(location.search).get('room') || 'cursors:plan';
  const token = async ({ signal }: { signal: AbortSignal }) => (await devToken(user, signal)).token;
  return { client: createClient({ url: location.origin, token, user }), room };
}
