import { useState } from 'react';
import { createClient } from 'roomlog';
import { RoomlogProvider } from 'roomlog/react';
import { devToken } from '../guest/devapi.ts';
import { TopBar } from '../theme/TopBar.tsx';
import { Panel } from './Panel.tsx';

/** The page: one feed at a time, over a one-way stream. */
export function Dashboard() {
  const [client] = useState(enter);
  return (
    <RoomlogProvider client={client}>
      <TopBar here="dashboard" />
      <Panel />
    </RoomlogProvider>
  );
}

/** Who only looks needs no socket: a stream, or polls where something in between is in its way. */
function enter() {
  const token = async ({ signal }: { signal: AbortSignal }) => (await devToken('viewer', signal)).token;
  return createClient({ url: location.origin, token, user: 'viewer', transports: ['sse', 'poll'] });
}
