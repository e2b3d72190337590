import type { WireEvent } from '../protocol/frames.js';
import type { Log } from './log.js';
import type { TestRefusal } from './refusal.js';

/** How many who reacted a message names (CHG-9). */
const MAX_REACTORS = 10;

const isChange = (type: string) => type === 'edit' || type === 'delete' || type === 'reaction';
const bad = (field: string): TestRefusal => ({ code: 'bad_data', field });

/**
 * The message that a change is of (CHG-1 to CHG-4), or why it is refused; undefined for what is no change. `moderates` says that its author may
 * change the messages of others.
 */
export function targetOf(
  log: Log,
  { type, author, data }: { type: string; author: string; data: unknown },
  moderates: boolean,
): WireEvent | TestRefusal | undefined {
  if (!isChange(type)) return undefined;
  const { target, data: edited, emoji } = Object(data) as Record<string, unknown>;
  if (!Number.isSafeInteger(target) && typeof target !== 'string') return bad('data/target');
  if (type === 'edit' && edited === undefined) return bad('data/data');
  if (type === 'reaction') {
    const bytes = typeof emoji === 'string' ? new TextEncoder().encode(emoji).length : 0;
    if (bytes < 1 || bytes > 64) return bad('data/emoji');
  }
  const event =
    typeof target === 'string'
      ? log.find(author, target.toLowerCase())?.event
      : log.events.find(({ seq }) => seq === target);
  if (event?.type !== 'message' || event.deleted) return { code: 'unknown_target', field: 'target' };
  if (type !== 'reaction' && event.author !== author && !moderates) {
    return { code: 'forbidden', field: 'target' };
  }
  return event;
}

/** What is left of an event after a delete (CHG-7). */
export function redacted(event: WireEvent, { seq, author: by, at, target }: WireEvent): WireEvent {
  const isGone = event.seq === target || (event.type === 'edit' && event.target === target);
  return isGone ? { ...event, data: null, deleted: { seq, by, at } } : event;
}

/** An event as present content, as a user is told of it (CHG-9). */
export function present(log: Log, event: WireEvent, user: string): WireEvent {
  if (event.type !== 'message' || event.deleted) return event;
  const changes = log.events.filter(({ target }) => target === event.seq);
  const edit = changes.filter(({ type }) => type === 'edit').at(-1);
  const byEmoji = new Map<string, Set<string>>();
  for (const { author, data } of changes.filter(({ type }) => type === 'reaction')) {
    const { emoji, remove } = data as { emoji: string; remove?: boolean };
    const users = byEmoji.get(emoji) ?? new Set();
    if (remove) users.delete(author);
    else users.add(author);
    byEmoji.set(emoji, users);
  }
  const reactions = [...byEmoji]
    .filter(([, users]) => users.size > 0)
    .map(([emoji, users]) => ({
      emoji,
      count: users.size,
      users: [...users].filter((name, i) => i < MAX_REACTORS || name === user),
    }));
  return {
    ...event,
    ...(edit && { data: (edit.data as { data: unknown }).data, edited: { seq: edit.seq, at: edit.at } }),
    ...(reactions.length > 0 && { reactions }),
  };
}
