/** Close codes that a client tells apart (CLOSE-1). */
export const CLOSE_UNAUTHENTICATED = 4501;

/** What a close says: whether to come back, and not before when (CLOSE-2, CLOSE-3). */
export interface Closing {
  code: number;
  /** The error code in the reason, if there is one. */
  reason: string | undefined;
  /** How long to wait at least, in milliseconds; 0 where the server does not say. */
  retryAfterMs: number;
  /** Whether the client comes back by itself. */
  retryable: boolean;
}

/** Reads a close's code and reason, such as `1012` and `going_away 800`. */
export function parseClose(code: number, text: string): Closing {
  const [, reason, wait] = /^([a-z]\w*)(?: (\d{1,9}))?$/.exec(text) ?? [];
  return { code, reason, retryAfterMs: Number(wait ?? 0), retryable: code < 4500 || code > 4999 };
}
