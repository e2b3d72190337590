import { SUBPROTOCOL } from '../protocol/frames.js';
import type { Link, LinkEvents, Transport } from './transport.js';

/** The part of the WebSocket interface that is used; browsers, Node 22 and npm `ws` have it. */
export interface WebSocketLike {
  /** 1 while it is open. */
  readonly readyState: number;
  /** Called when it has opened. */
  onopen: ((event: never) => void) | null;
  /** Called with each message, an object whose `data` is text. */
  onmessage: ((event: never) => void) | null;
  /** Called when it has ended, with an object that has `code` and `reason`. */
  onclose: ((event: never) => void) | null;
  /** Called when something failed; a close follows. */
  onerror: ((event: never) => void) | null;
  /** Sends text. */
  send(text: string): void;
  /** Ends it. */
  close(code?: number, reason?: string): void;
}

/** A WebSocket class: the global one, or npm `ws` where the runtime has none (Node 20). */
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => WebSocketLike;

const OPEN = 1;
const swallow = () => {};

/** WebSocket as a transport. `url` is that of `/v1/ws`. */
export function socketTransport(url: string, WebSocket: WebSocketConstructor): Transport {
  return {
    dial(events: LinkEvents): Link {
      const socket = new WebSocket(url, SUBPROTOCOL);
      const silence = () => {
        socket.onopen = socket.onmessage = socket.onclose = null;
        // A socket dropped while connecting reports an error; npm `ws` would throw it if nobody listened.
        socket.onerror = swallow;
      };
      socket.onopen = () => events.open();
      socket.onmessage = (event: { data: unknown }) => events.message(String(event.data));
      socket.onerror = swallow; // a close always follows
      socket.onclose = (event: { code: number; reason?: unknown }) => {
        silence();
        events.closed(event.code, String(event.reason ?? ''));
      };
      return {
        send(text) {
          if (socket.readyState === OPEN) socket.send(text);
        },
        drop(code = 1000) {
          silence();
          socket.close(code);
        },
      };
    },
  };
}
