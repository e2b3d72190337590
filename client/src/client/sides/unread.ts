/** Unread messages are counted up to here; one more stands for all that are more. */
export const MAX_UNREAD = 999;

/** A seq as the server says it; 0 where it is none. */
export const seqOf = (v: unknown): number => (Number.isSafeInteger(v) ? (v as number) : 0);

/** The number of unread messages as it is shown. */
export const unreadOf = (unread: unknown, more: unknown): number =>
  more === true ? MAX_UNREAD + 1 : seqOf(unread);
