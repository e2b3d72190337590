/** What a link tells its owner. After `closed` it says nothing more. */
export interface LinkEvents {
  /** Messages can be sent now. */
  open(): void;
  /** One text message came. */
  message(text: string): void;
  /** The link has ended, by the other side or by the network. */
  closed(code: number, reason: string): void;
}

/** One connection, from dialling to its end. */
export interface Link {
  /** Sends one text message; after the end it does nothing. */
  send(text: string): void;
  /** Ends the link at once, without waiting for the other side, and silences its events. */
  drop(code?: number): void;
}

/**
 * A way to reach a server. WebSocket is the first; streams and polling come in by this seam.
 * `dial` may throw when the address or the runtime makes any attempt hopeless.
 */
export interface Transport {
  dial(events: LinkEvents): Link;
}
