import { StrictMode } from 'react';
import type { Client } from '../../src/index.js';
import * as plain from '../../src/react/index.js';
import * as suspense from '../../src/react/suspense.js';

type Hooks = typeof plain;

function Chat({ hooks }: { hooks: Hooks }) {
  const { messages, isPending, hasOlder } = hooks.useMessages();
  const { state, pendingSends } = hooks.useConnection();
  const { room, status } = hooks.useRoom();
  return (
    <ol aria-busy={isPending} title={`${state} ${pendingSends} ${hasOlder} ${status.state} ${room.id}`}>
      {messages.map(m => (
        <li key={m.tag}>{m.data.text}</li>
      ))}
    </ol>
  );
}

/** The page of `app.ts`, by the hooks of either entry. */
export const page = (hooks: Hooks, client: Client) => (
  <StrictMode>
    <hooks.RoomlogProvider client={client}>
      <h1>Lobby</h1>
      <hooks.RoomProvider id="chat:a" {...{ fallback: <p>One moment</p> }}>
        <Chat hooks={hooks} />
      </hooks.RoomProvider>
    </hooks.RoomlogProvider>
  </StrictMode>
);

/** Both entries, and the HTML that a server makes of the page. */
export const entries = [
  {
    name: 'roomlog/react',
    hooks: plain,
    html: '<h1>Lobby</h1><ol aria-busy="true" title="idle 0 false detached chat:a"></ol>',
  },
  {
    name: 'roomlog/react/suspense',
    hooks: suspense as unknown as Hooks, // the same names; `page` gives both what either takes
    html: '<h1>Lobby</h1><p>One moment</p>',
  },
];
