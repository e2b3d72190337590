import type { Client, Message, MessageBody } from '../client/types.js';
import { newTag } from '../index.js';

/** A message as a row. */
export interface MessageRow<M = MessageBody> extends Message<M> {
  /** Sorts as `messages.list` does: the seq of what is stored, and above every seq what is not, in the order of sending. */
  readonly order: number;
}

/** What `collection.insert` takes. */
export interface NewMessage<M = MessageBody> {
  /** As that of `room.messages.send`. */
  data: M;
  /** A UUID, where the application keeps its own; made here unless given. */
  tag?: string;
}

/** Makes rows of what is inserted: a Standard Schema, for the types of `collection.insert`. It refuses nothing. */
export interface MessageSchema<M = MessageBody> {
  /** As Standard Schema wants it. */
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: 'roomlog';
    readonly validate: (value: unknown) => { readonly value: MessageRow<M> };
    readonly types?: { readonly input: NewMessage<M>; readonly output: MessageRow<M> };
  };
}

/** Above every seq that a room will have. */
export const UNSENT = 2 ** 52;
let orders = UNSENT;

/** The next place behind everything that is not stored. */
export const nextOrder = (): number => ++orders;

/** The schema of messages that this client's user writes. */
export function messageSchema<M>(client: Client): MessageSchema<M> {
  const toRow = (message: NewMessage<M>): MessageRow<M> => ({
    seq: null,
    type: 'message',
    author: client.user ?? '',
    own: true,
    at: new Date(),
    delivery: 'queued',
    error: undefined,
    edited: undefined,
    deleted: undefined,
    reactions: [],
    replyTo: undefined,
    mentions: [],
    change: undefined,
    order: nextOrder(),
    ...message,
    tag: message.tag?.toLowerCase() ?? newTag(),
  });
  return {
    '~standard': {
      version: 1,
      vendor: 'roomlog',
      validate: value => ({ value: toRow(value as NewMessage<M>) }),
    },
  };
}
