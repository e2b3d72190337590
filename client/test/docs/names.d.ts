// What the code blocks of the documents take for granted: the names that they use without declaring them.
import type { Client, Message, Room } from 'roomlog';

declare global {
  /** A client that was made as on the page. */
  const client: Client;
  /** One of its rooms. */
  const room: Room;
  /** One of the room's messages. */
  const message: Message;
  /** Whatever the application does to show something. */
  function render(...what: unknown[]): void;
  /** Asks the application's backend for a token. */
  function fetchToken(): Promise<string>;
  /** An Express application, and Express. */
  const app: { post(path: string, ...handlers: unknown[]): void };
  const express: { raw(options: object): unknown; json(options?: object): unknown };
}
