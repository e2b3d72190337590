import type { Awareness } from 'y-protocols/awareness';
import type { Unsubscribe } from '../client/readable.js';
import type { Broadcast, Room } from '../client/types.js';

/** The type of the signals that carry awareness (SIG-1); the key is the client id of Yjs. */
const AWARENESS = 'awareness';

/** Whose state is shown, and what was last said of it. */
type Shown = Map<number, Broadcast>;

/** What is in such a signal. */
interface Said {
  doc: string;
  clock: number;
  state: Record<string, unknown>;
}

const isFields = (v: unknown): v is Said['state'] => Object(v) === v;
const saidOf = ({ data }: Broadcast): Said => Object(data);

/**
 * Carries an awareness of Yjs over the room's signals: the server names the connection of each, and ends them with it. A user cannot speak for
 * a client id that another one has here.
 */
export function carryAwareness(
  room: Room<unknown>,
  name: string,
  awareness: Awareness,
  isHere: () => boolean,
): { look(): void; stop(): void } {
  const own = awareness.clientID;
  let shown: Shown = new Map();

  const say = ({ added, updated, removed }: Record<string, number[]>, origin: unknown) => {
    if (origin === room || ![added, updated, removed].some(ids => ids?.includes(own))) return;
    const state = awareness.getLocalState();
    const clock = awareness.meta.get(own)?.clock ?? 0;
    room.broadcast(AWARENESS, state && { doc: name, clock, state }, { key: String(own) });
  };

  const look = () => {
    const now: Shown = new Map();
    for (const each of isHere() ? room.broadcasts.get() : []) {
      const client = Number(each.key);
      const { doc, state } = saidOf(each);
      if (each.type !== AWARENESS || doc !== name || !isFields(state)) continue;
      const before = now.get(client);
      const first = shown.get(client)?.user ?? before?.user ?? each.user;
      // The newest of one user: an earlier connection of theirs may not have ended yet.
      if (!Number.isSafeInteger(client) || client === own || each.user !== first) continue;
      if (!before || saidOf(before).clock <= saidOf(each).clock) now.set(client, each);
    }
    show(now);
  };

  const show = (now: Shown) => {
    const added: number[] = [];
    const updated: number[] = [];
    const removed = [...shown.keys()].filter(client => !now.has(client));
    for (const client of removed) awareness.states.delete(client);
    for (const [client, each] of now) {
      const before = shown.get(client);
      if (before === each && awareness.states.has(client)) continue;
      const { state, clock } = saidOf(each);
      (before ? updated : added).push(client);
      awareness.states.set(client, state);
      // It does not grow old by itself: the server says when it is over.
      awareness.meta.set(client, { clock, lastUpdated: Number.POSITIVE_INFINITY });
    }
    shown = now;
    if (added.length + updated.length + removed.length === 0) return;
    const changes = { added, updated, removed };
    awareness.emit('change', [changes, room]);
    awareness.emit('update', [changes, room]);
  };

  awareness.on('update', say);
  const stop: Unsubscribe = room.broadcasts.subscribe(look);
  look();
  return {
    look,
    stop() {
      stop();
      show(new Map());
      awareness.destroy(); // says that it is over
    },
  };
}
