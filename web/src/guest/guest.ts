import { type Client, createClient, type Room } from 'roomlog';
import { Strip } from '../model/strip.ts';
import { Crossing } from './crossing.ts';
import { devToken } from './devapi.ts';
import { Line } from './line.ts';

/** What a message of these pages holds. */
export interface Body {
  readonly text: string;
  /** The seq of the message that it answers. */
  readonly reply_to?: number;
  /** The users that it names. */
  readonly mentions?: readonly string[];
  /** It is being written: `text` grows (PART-1). */
  readonly streaming?: true;
  /** It ended before it was whole (PART-5). */
  readonly aborted?: true;
  /** It came word by word: its end is an edit, though nobody edited it. */
  readonly streamed?: true;
}

/** One pane's guest: a user with a client of their own, as two people at two machines would have. */
export interface Guest {
  readonly name: string;
  readonly client: Client;
  readonly room: Room<Body>;
  /** The way to the server. */
  readonly line: Line;
  /** Which seqs came. */
  readonly strip: Strip;
  /** The tunnel, and what came of it. */
  readonly crossing: Crossing;
}

/**
 * Lets a guest into a room; it connects by itself, and tries again for as long as the page lives.
 * @param origin the server's, such as http://127.0.0.1:8080
 */
export function letIn(name: string, roomId: string, origin: string): Guest {
  const line = new Line();
  const client = createClient({
    url: origin,
    // Asked before each connection: the moment to look whether the tunnel is still there.
    token: async ({ signal }) => {
      await line.ready();
      return (await devToken(name, signal)).token;
    },
    WebSocket: line.socketConstructor(),
    // The tunnel is around the socket alone: a fallback would go past it.
    transports: ['websocket'],
  });
  const room = client.room<Body>(roomId);
  const strip = new Strip();
  room.on('event', event => strip.add(event));
  room.on('reset', () => strip.restart());
  room.attach();
  return { name, client, room, line, strip, crossing: new Crossing(name, client, room, line, strip) };
}
