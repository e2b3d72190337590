import type { Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { dayNumber } from './when.ts';

/** A message, and what stands above it. */
export interface ChatRow {
  readonly message: Message<Body>;
  /** Its day begins here. */
  readonly newDay: boolean;
  /** The first that has not been read. */
  readonly firstUnread: boolean;
  /** It belongs to the group of the one before: the author is not named again. */
  readonly follows: boolean;
}

/** For how long one author's messages in a row are one group. */
const groupMs = 5 * 60_000;

/** How messages become rows. */
export interface RowOptions {
  /** The first message is not shown: there is more before it, so it is not known yet what stands above it. */
  readonly hidesFirst: boolean;
  /** The last seq that has been read, where unread ones are set apart. */
  readonly readUpTo: number | null;
}

/**
 * Makes the rows of a conversation. With `hidesFirst`, no row changes when earlier messages come before it,
 * which is what keeps the reader's place to the pixel.
 */
export function chatRows(
  messages: readonly Message<Body>[],
  { hidesFirst, readUpTo }: RowOptions,
): ChatRow[] {
  const firstUnread = readUpTo === null ? undefined : messages.find(m => isUnread(m, readUpTo));
  const from = hidesFirst && messages.length > 1 ? 1 : 0;
  return messages.slice(from).map((message, i) => {
    const before = messages[from + i - 1];
    const newDay = !before || dayNumber(before.at) !== dayNumber(message.at);
    const first = message === firstUnread;
    return { message, newDay, firstUnread: first, follows: !newDay && !first && inGroup(before, message) };
  });
}

/** Whether a message is news to the reader. */
export function isUnread(message: Message<Body>, readUpTo: number): boolean {
  return !message.own && !message.deleted && message.seq !== null && message.seq > readUpTo;
}

function inGroup(before: Message<Body>, message: Message<Body>): boolean {
  return before.author === message.author && message.at.getTime() - before.at.getTime() < groupMs;
}

/** A row's key. Tags are unique for their author: nobody else's message may take the place of one's own. */
export function keyOf({ own, author, tag }: Message<Body>): string {
  return own ? tag : `${author} ${tag}`;
}

/** Which index the first row of a list has, so that a row keeps its own when others come before it. */
export interface Anchor {
  readonly keys: readonly string[];
  readonly first: number;
  /** Counts the times that the list was another altogether. */
  readonly generation: number;
}

/** Far from 0, which an index may not fall below. */
const start = 1_000_000_000;

/** The anchor of a list that is empty. */
export const noAnchor: Anchor = { keys: [], first: start, generation: 0 };

/** The anchor after the list's keys have become `keys`. */
export function reanchor(anchor: Anchor, keys: readonly string[]): Anchor {
  const [was] = anchor.keys;
  const [is] = keys;
  if (was !== undefined && is !== undefined) {
    const added = keys.indexOf(was);
    if (added >= 0) return { ...anchor, keys, first: anchor.first - added };
    const dropped = anchor.keys.indexOf(is);
    if (dropped >= 0) return { ...anchor, keys, first: anchor.first + dropped };
  }
  return { keys, first: start, generation: anchor.generation + 1 };
}
