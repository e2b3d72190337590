import { createContext, createElement, type ReactNode, useContext, useEffect } from 'react';
import type { Client } from '../client/types.js';

const ClientContext = createContext<Client | undefined>(undefined);
const RoomContext = createContext<string | undefined>(undefined);

/** What a RoomlogProvider is given. */
export interface RoomlogProviderProps {
  /** The client of everything inside. It may change: what is inside then follows its rooms on the other one. */
  client: Client;
  /** The part of the application that uses it. */
  children?: ReactNode;
}

/** Gives a client to what is inside. The client stays the application's: it is not closed here. */
export function RoomlogProvider({ client, children }: RoomlogProviderProps): ReactNode {
  return createElement(ClientContext.Provider, { value: client }, children);
}

/** What a RoomProvider is given. */
export interface RoomProviderProps {
  /** The room, such as `chat:lobby`. When it changes, the one room is left and the other joined. */
  id: string;
  /** The part of the application that is about the room. */
  children?: ReactNode;
}

/**
 * Attaches a room while mounted, and makes it the room of the hooks inside. Where one unmounts and another mounts with the
 * same room in the same commit, the room is not left.
 */
export function RoomProvider({ id, children }: RoomProviderProps): ReactNode {
  const client = useClient();
  useEffect(() => client.room(id).attach(), [client, id]);
  return createElement(RoomContext.Provider, { value: id }, children);
}

/** The client of the nearest RoomlogProvider. Throws an Error without one. */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (!client) throw new Error('roomlog/react: there is no <RoomlogProvider> around this component.');
  return client;
}

/** The id of the nearest RoomProvider's room; undefined without one. */
export function useRoomId(): string | undefined {
  return useContext(RoomContext);
}
