import { isSeq, isTexts } from '../protocol/check.js';
import type { WireEvent } from '../protocol/frames.js';
import type { Message, Reaction } from './types.js';

/** Whether an event of this type changes messages (CHG-1, ERASE-2). */
export const isChange = (type: string): boolean => /^(edit|delete|erase|reaction)$/.test(type);

const NONE: readonly never[] = [];

/** An event of the log, or one that is not stored yet. */
type Event = Omit<WireEvent, 'room' | 'seq' | 'at'> & { seq: number | null; at: string | Date };

/** An event as a message, as it stands in the event: with what was known of its changes where that was read as present content. */
export function toMessage(event: Event, user: string): Message<unknown> {
  const { edited, deleted, reactions } = event;
  return {
    ...event,
    ...said(event.data),
    own: event.author === user,
    at: new Date(event.at),
    delivery: 'sent',
    error: undefined,
    edited: dated(edited),
    deleted: dated(deleted),
    reactions: reactions?.map(each => ({ ...each, mine: each.users.includes(user) })) ?? NONE,
    change: undefined,
  };
}

const dated = <T extends { at: string }>(told: T | undefined) => told && { ...told, at: new Date(told.at) };

/** The data of a message, and what it has by convention: other users wrote it, and it may be anything. */
export function said(data: unknown): Pick<Message<unknown>, 'data' | 'replyTo' | 'mentions'> {
  const { reply_to: replyTo, mentions } = Object(data);
  return {
    data,
    replyTo: isSeq(replyTo) ? replyTo : undefined,
    mentions: isTexts(mentions) ? mentions : NONE,
  };
}

/** What of a message tells whether a change is of it. */
interface Named {
  author: string;
  seq: number | null | undefined;
  tag?: string;
}

/** Whether a change is of a message; an erasure is of all that its user said before. */
export function isOf(
  { type, author, seq, data, target = Object(data).target }: Change,
  each: Named,
): boolean {
  return type === 'erase'
    ? each.author === Object(data).user && (each.seq as number) < (seq as number)
    : target === each.seq || (target === (each.tag as unknown) && author === each.author);
}

/** What changes a message: an event, or one that is on its way, which has no seq. */
export interface Change {
  readonly seq: number | null;
  readonly type: string;
  readonly author: string;
  readonly at: Date;
  readonly data: unknown;
  /** The seq of its message, where the server has told. */
  readonly target?: number | undefined;
}

/** What `fn` makes of a list: the same one where it changes nothing in it. */
export function mapped<T>(list: readonly T[], fn: (each: T) => T): readonly T[] {
  const next = list.map(fn);
  return next.some((each, i) => each !== list[i]) ? next : list;
}

/**
 * A message after a change (CHG-5 to CHG-7, ERASE-2); the same object where that changes nothing. Changes count in the order of seq, and a
 * repeat of the last ones changes nothing, as long as everyone who reacted is known.
 */
export function changed(message: Message<unknown>, change: Change, user: string): Message<unknown> {
  const { type, author, seq, at } = change;
  const is = isOf(change, message);
  if (message.deleted) return message;
  if (type === 'erase' ? !is : is && type === 'reaction') {
    const reactions = reacted(message.reactions, change, user);
    return reactions === message.reactions ? message : { ...message, reactions };
  }
  if (!is) return message;
  if (type === 'edit') {
    const { data } = Object(change.data);
    return data === undefined ? message : { ...message, ...said(data), edited: { seq, at } };
  }
  const deleted = { seq, by: author, at };
  return { ...message, ...said(null), edited: undefined, deleted, reactions: NONE };
}

/** Reactions after one more, one less, or the erasure of a user, whose are gone as far as they are known by name. */
function reacted(before: readonly Reaction[], { type, author, data }: Change, user: string) {
  const erases = type === 'erase';
  const { emoji, remove = erases, user: erased } = Object(data);
  const who = erases ? erased : author; // others' data may have a user too
  const isMeant = (each: Reaction) => (erases ? each.users.includes(who) : each.emoji === emoji);
  const isNew = typeof emoji === 'string' && !remove && !before.some(isMeant);
  const all = isNew ? [...before, { emoji, count: 0, users: NONE, mine: false }] : before;
  const after = mapped(all, each => {
    const others = each.users.filter(name => name !== who);
    const had = others.length < each.users.length;
    // Who took back a reaction and is not among those that are named was one of the others.
    if (!isMeant(each) || (remove ? !had && each.count === each.users.length : had)) return each;
    const users = remove ? others : [...others, who];
    return { ...each, count: each.count + (remove ? -1 : 1), users, mine: users.includes(user) };
  });
  return after === before ? before : after.filter(({ count }) => count > 0);
}
