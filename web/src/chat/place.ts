import { useSyncExternalStore } from 'react';

/** Where the reader is: a room, and perhaps one message of it. */
export interface Place {
  readonly room: string;
  /** The message that is linked to, and how often a link was followed: the same one twice is two jumps. */
  readonly jump: { readonly seq: number; readonly count: number } | null;
}

/** The room that opens by itself. */
const lobby = 'chat:lobby';

/** Reads a place from an address such as /chat?room=chat:lobby#412. */
export function placeOf(url: URL, count = 0): Place {
  const seq = /^#([1-9]\d{0,14})$/.exec(url.hash)?.[1];
  return {
    room: url.searchParams.get('room') || lobby,
    jump: seq === undefined ? null : { seq: Number(seq), count },
  };
}

/** The address of a room, or of one message of it, relative to the page. */
export function addressOf(room: string, seq?: number): string {
  // A room's id holds letters, digits and `:._-`: as readable in an address as it is.
  const query = `?room=${encodeURIComponent(room).replaceAll('%3A', ':')}`;
  return seq === undefined ? query : `${query}#${seq}`;
}

let jumps = 0;
let place = placeOf(new URL(location.href));
const listeners = new Set<() => void>();

function look(): void {
  place = placeOf(new URL(location.href), ++jumps);
  for (const listener of listeners) listener();
}

addEventListener('popstate', look); // also for a link to #412

/** Goes to a room, as a step that the back button takes back. */
export function goTo(room: string): void {
  history.pushState(null, '', addressOf(room));
  look();
}

/** Leaves the linked message; the room stays. */
export function leaveJump(): void {
  if (!place.jump) return;
  history.replaceState(null, '', addressOf(place.room));
  look();
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
