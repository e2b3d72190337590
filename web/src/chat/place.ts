import { useSyncExternalStore } from 'react';

/** Where the reader is: a room, and perhaps one message of it. */
export interface Place {
  readonly room: string;
  /** The message that is linked to; another object each time that a link is followed. */
  readonly jump: { readonly seq: number } | null;
  /** How often somewhere was gone to. */
  readonly count: number;
  /** A linked message was left for the newest ones. */
  readonly isLeft: boolean;
}

/** The room that opens by itself. */
const lobby = 'chat:lobby';

/** Reads a place from an address such as /chat?room=chat:lobby#412. */
export function placeOf(url: URL, count = 0): Place {
  const seq = /^#([1-9]\d{0,14})$/.exec(url.hash)?.[1];
  return {
    room: url.searchParams.get('room') || lobby,
    jump: seq === undefined ? null : { seq: Number(seq) },
    count,
    isLeft: false,
  };
}

/** The address of a room, or of one message of it, relative to the page. */
export function addressOf(room: string, seq?: number): string {
  // A room's id holds letters, digits and `:._-`: as readable in an address as it is.
  const query = `?room=${encodeURIComponent(room).replaceAll('%3A', ':')}`;
  return seq === undefined ? query : `${query}#${seq}`;
}

let count = 0;
let place = placeOf(new URL(location.href));
const listeners = new Set<() => void>();

function set(next: Place): void {
  place = next;
  for (const listener of listeners) listener();
}

function look(): void {
  set(placeOf(new URL(location.href), ++count));
}

addEventListener('popstate', look); // also for a link to #412

/** Goes to a room, or to a message of it, as a step that the back button takes back; where one is already, there is no step. */
export function goTo(room: string, seq?: number): void {
  const next = new URL(addressOf(room, seq), location.href).href;
  if (next === location.href) history.replaceState(null, '', next);
  else history.pushState(null, '', next);
  look();
}

/** Leaves the linked message for the newest ones; the room stays. */
export function leaveJump(): void {
  if (!place.jump) return;
  history.replaceState(null, '', addressOf(place.room));
  set({ ...place, jump: null, isLeft: true });
}

/** Where the reader is. */
export function usePlace(): Place {
  return useSyncExternalStore(
    onChange => {
      listeners.add(onChange);
      return () => listeners.delete(onChange);
    },
    () => place,
  );
}
