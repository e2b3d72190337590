// What the code blocks of the documents take for granted: the names that they use without declaring them.
import type { Client, Message, Room } from 'roomlog';

type Hooks = typeof import('roomlog/react');

declare global {
  /** A client that was made as on the page. */
  const client: Client;
  /** One of its rooms. */
  const room: Room;
  /** One of the room's messages. */
  const message: Message;
  /** Whatever the application does to show something. */
  function render(...what: unknown[]): void;
  /** Shows a passing notice. */
  function toast(text: string): void;
  /** A connection of its own to `/v1/ws`, and how much went to the room over it. */
  const socket: WebSocket;
  let n: number;
  /** Asks the application's backend for a token. */
  function fetchToken(): Promise<string>;
  /** An Express application, and Express. */
  const app: { post(path: string, ...handlers: unknown[]): void };
  const express: { raw(options: object): unknown; json(options?: object): unknown };
  /** Hooks, in blocks that show a line of a component. */
  const useMessages: Hooks['useMessages'];
  const useConnection: Hooks['useConnection'];
  const useRoom: Hooks['useRoom'];
  const useLostConnection: Hooks extends { useLostConnection: infer Hook } ? Hook : never;
}
