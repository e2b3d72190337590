import type { SyncConfig } from '@tanstack/db';
import type { Client, Message, Room } from '../client/types.js';
import { type MessageRow, nextOrder, UNSENT } from './row.js';

type Target<M> = Pick<
  Parameters<SyncConfig<MessageRow<M>, string>['sync']>[0],
  'begin' | 'write' | 'commit' | 'markReady' | 'markError'
>;

/** Attaches a room and keeps a collection equal to its list. Returns what ends that. */
export function follow<M>(client: Client, room: Room<M>, target: Target<M>): () => void {
  const { list } = room.messages;
  const rows = new Rows<M>();
  let taken: readonly Message<M>[] | undefined;
  const take = () => {
    if (taken !== list.get()) {
      taken = list.get();
      target.begin();
      rows.become(taken, target);
      target.commit();
    }
    const { loaded, state, error } = room.status.get();
    const connection = client.status.get();
    if (loaded) target.markReady();
    else if (state === 'denied') target.markError(error);
    else if (connection.state === 'failed') target.markError(connection.reason);
  };
  const stops = [list, room.status, client.status].map(readable => readable.subscribe(take));
  const detach = room.attach();
  take();
  return () => {
    for (const stop of stops) stop();
    detach();
  };
}

/** The rows of one collection, and the messages of which they were made: a message is another object when it has changed. */
class Rows<M> {
  readonly #rows = new Map<string, { readonly message: Message<M>; readonly row: MessageRow<M> }>();

  /** Writes how the rows differ from the list. */
  become(list: readonly Message<M>[], { write }: Target<M>): void {
    const gone = new Set(this.#rows.keys());
    const there = new Set<string>();
    let unsent = UNSENT;
    for (const message of list) {
      // Tags are unique per author: one that somebody took from another shows, but does not take the other's row.
      const tag = there.has(message.tag) ? `${message.tag}:${message.seq}` : message.tag;
      there.add(tag);
      gone.delete(tag);
      const before = this.#rows.get(tag);
      let order = message.seq;
      if (order === null) {
        const kept = before?.row.order ?? 0;
        order = unsent = kept > unsent ? kept : nextOrder();
      }
      if (before?.message === message && before.row.order === order) continue;
      const row = { ...message, tag, order };
      this.#rows.set(tag, { message, row });
      write({ type: before ? 'update' : 'insert', value: row });
    }
    for (const tag of gone) {
      this.#rows.delete(tag);
      write({ type: 'delete', key: tag });
    }
  }
}
