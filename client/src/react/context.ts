import { createContext, createElement, type ReactNode, useContext, useEffect } from 'react';
import type { Client } from '../client/types.js';

const ClientContext = createContext<Client | undefined>(undefined);
const RoomContext = createContext<string | undefined>(undefined);

/** Gives a client to what is inside. The client stays the application's: it is not closed here. */
export function RoomlogProvider({ client, children }: { client: Client; children?: ReactNode }): ReactNode {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/** Attaches a room while mounted, and makes it the room of the hooks inside. */
export function RoomProvider({ id, children }: { id: string; children?: ReactNode }): ReactNode {
  const client = useClient();
  useEffect(() => client.room(id).attach(), [client, id]);
  return createElement(RoomContext.Provider, { value: id }, children);
}

/** The client of the nearest RoomlogProvider. Throws without one. */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (!client) throw new Error('roomlog/react: there is no <RoomlogProvider> around this component.');
  return client;
}

/** The id of the nearest RoomProvider's room; undefined without one. */
export function useRoomId(): string | undefined {
  return useContext(RoomContext);
}
