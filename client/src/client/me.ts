import type { RoomOverview } from './people.js';
import type { Value } from './readable.js';
import type { Session, Subscriber } from './session.js';
import { type Fields, isFields } from './sides/snapshot.js';
import { seqOf, unreadOf } from './sides/unread.js';
import type { Message } from './types.js';

/** What the feed of one's own rooms needs. */
export interface MeNeeds {
  readonly session: Session;
  readonly rooms: Value<readonly RoomOverview[]>;
  /** An event as a message; undefined for what is none. */
  message(event: unknown): Message<unknown> | undefined;
}

/** Follows the rooms of the client's user from now on, over every connection. */
export function followRooms({ session, rooms, message }: MeNeeds): void {
  const byRoom = new Map<string, RoomOverview>();
  let user = session.user;
  const feed: Subscriber = {
    up() {
      if (user !== session.user) {
        byRoom.clear();
        rooms.set([]);
      }
      user = session.user;
      session.tell(id => ({ op: 'me', id }));
    },
    down() {},
    give() {},
    frame(frame) {
      if (frame.op !== 'me') return;
      const { full, rooms: set, gone } = frame as unknown as Fields;
      if (full === true) byRoom.clear();
      for (const room of Array.isArray(gone) ? gone : []) byRoom.delete(String(room));
      for (const fields of Array.isArray(set) ? set : []) {
        if (isFields(fields) && typeof fields.room === 'string') {
          byRoom.set(fields.room, overview(fields, fields.room, message));
        }
      }
      const at = ({ last }: RoomOverview) => last?.at.getTime() ?? 0;
      rooms.set([...byRoom.values()].sort((a, b) => at(b) - at(a)));
    },
  };
  session.rooms.set(undefined, feed);
  if (session.isUp) feed.up();
}

function overview(fields: Fields, room: string, message: MeNeeds['message']): RoomOverview {
  const { head, role, last, read, delivered, unread, more, first_unread: first, mentions } = fields;
  return {
    room,
    head: seqOf(head),
    role: typeof role === 'string' ? role : undefined,
    last: message(last),
    read: seqOf(read),
    delivered: seqOf(delivered),
    unread: unreadOf(unread, more),
    firstUnread: seqOf(first) || null,
    mentions: seqOf(mentions),
  };
}
