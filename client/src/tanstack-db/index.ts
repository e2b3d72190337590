/**
 * A room as a collection of TanStack DB: its messages are rows that live queries filter, join and order beside your other data.
 *
 * @packageDocumentation
 */
import type { CollectionConfig, DeleteMutationFnParams, InsertMutationFnParams } from '@tanstack/db';
import type { Client, MessageBody, Room } from '../client/types.js';
import { follow } from './follow.js';
import { type MessageRow, type MessageSchema, messageSchema } from './row.js';

export type { MessageRow, MessageSchema, NewMessage } from './row.js';

/** Which room, and what TanStack DB is to know of the collection. */
export interface RoomlogCollectionOptions
  extends Partial<
    Pick<CollectionConfig<object, string>, 'id' | 'gcTime' | 'startSync' | 'autoIndex' | 'defaultIndexType'>
  > {
  /** The client; it connects when the collection first has a subscriber. */
  client: Client;
  /** The id of the room, such as `chat:lobby`. */
  room: string;
}

/** What `createCollection` of TanStack DB is given. */
export type RoomlogCollectionConfig<M = MessageBody> = CollectionConfig<
  MessageRow<M>,
  string,
  MessageSchema<M>
> & {
  /** Makes a row of what is inserted. */
  schema: MessageSchema<M>;
};

/**
 * The options of a collection whose rows are what `room.messages.list` holds, in its order, by `tag`:
 *
 * ```ts
 * const messages = createCollection(roomlogCollectionOptions({ client, room: 'chat:lobby' }));
 * messages.insert({ data: { text: 'hi' } });
 * ```
 *
 * The room is attached as long as the collection syncs. It is ready with the room's first page, and in error if the room is denied,
 * or the connection failed for good, before that. A reset replaces the rows at once.
 *
 * `insert` sends. Its transaction is persisted as soon as the client has taken the message over, which is at once and offline too,
 * so that it holds nothing up; how the message fares is in its row: `delivery`, `seq` and `error`. What is refused stays, as
 * `failed`, until `room.messages.retry(tag)` or a `delete`. `delete` takes back what is not stored; for what is, or may be, its
 * transaction fails with an Error and the row is back. Messages cannot be updated.
 */
export function roomlogCollectionOptions<M = MessageBody>({
  client,
  room: id,
  ...options
}: RoomlogCollectionOptions): RoomlogCollectionConfig<M> {
  const room = client.room<M>(id);
  return {
    id: `roomlog:${id}`,
    ...options,
    schema: messageSchema(client),
    getKey: row => row.tag,
    compare: (a, b) => a.order - b.order,
    sync: { sync: target => follow(client, room, target), rowUpdateMode: 'full' },
    onInsert: params => send(room, params),
    onDelete: params => discard(room, params),
  };
}

// Readables call their listeners in a microtask, which comes before the end of the transaction that a handler is awaited for: the rows
// are what the list is when what the transaction showed goes, and nothing flickers.

async function send<M>(
  room: Room<M>,
  { transaction }: InsertMutationFnParams<MessageRow<M>, string>,
): Promise<void> {
  for (const { modified } of transaction.mutations) room.messages.send(modified.data, { tag: modified.tag });
}

async function discard<M>(
  room: Room<M>,
  { transaction }: DeleteMutationFnParams<MessageRow<M>, string>,
): Promise<void> {
  const kept = transaction.mutations.filter(({ key }) => !room.messages.discard(key));
  if (kept.length > 0) throw new Error('roomlog: a message that is stored, or may be, cannot be taken back.');
}
