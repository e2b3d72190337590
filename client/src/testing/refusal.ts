import type { ErrorCode, ServerCode } from '../protocol/codes.js';
import type { StateEntry } from '../protocol/frames.js';

/** How a request is refused: the fields of an error frame and of a problem (ERR-2, ERR-5). */
export interface TestRefusal {
  /** A code of the protocol, or one of your own to see what becomes of it. */
  code: ErrorCode;
  /** The sentence for a person. That of the real server unless given. */
  title?: string;
  /** Whether the same request may succeed later. As for the real server's code unless given; false for any other code. */
  retryable?: boolean;
  /** How long the client is to wait at least, in milliseconds. */
  retryAfterMs?: number;
  /** The offending field. */
  field?: string;
  /** The limit that was passed. */
  limit?: number;
  /** Of a `conflict`: by key, what is in the way. */
  current?: Readonly<Record<string, StateEntry>>;
}

/** Code → HTTP status, whether a retry helps, the sentence, and the close code where it ends a connection. */
type Row = readonly [status: number, retryable: 0 | 1, title?: string | undefined, close?: number];

/**
 * What the real server says; a test holds this equal to `spec/errors.json`. The sentences are those that a page may show
 * to people; what only a faulty client is told has one that names the code.
 */
export const KNOWN: Partial<Record<ServerCode, Row>> = {
  bad_request: [400, 0],
  bad_room: [400, 0],
  bad_position: [400, 0],
  bad_tag: [400, 0],
  bad_type: [400, 0],
  bad_data: [400, 0],
  bad_update: [400, 0],
  message_too_large: [413, 0, 'This is larger than it may be.', 1009],
  unknown_op: [400, 0],
  unknown_room: [404, 0, 'There is no such room for you.'],
  unknown_target: [
    404,
    0,
    'There is no message to change: it was never stored, is of another type, or was deleted.',
  ],
  forbidden: [403, 0, 'You may read this room, but not send to it.'],
  refused: [422, 0, 'The app does not take this event.'],
  unauthenticated: [401, 0, 'A valid token is needed.', 4501],
  token_expired: [401, 0, 'The token has expired; get a new one.', 4501],
  revoked: [403, 0, 'This access was taken back.', 4503],
  tag_conflict: [409, 0],
  conflict: [409, 0],
  out_of_order: [409, 1],
  rate_limited: [429, 1, 'This is done faster than is allowed; wait and do it again.'],
  overloaded: [503, 1, 'The server has more to do than it takes on; try again.', 4002],
  unavailable: [503, 1, 'The store does not answer right now; nothing was stored.'],
  outcome_unknown: [503, 1],
  storage_full: [507, 1, 'The store is full; nothing was stored.'],
  limit_exceeded: [429, 0, 'There are as many of these as there may be.'],
  reset: [410, 0],
  unsupported_version: [400, 0, undefined, 4510],
  not_found: [404, 0],
  method_not_allowed: [405, 0],
  ping_timeout: [408, 1, undefined, 4001],
  going_away: [503, 1, 'This server is going away; connect again.', 1012],
};

const row = (code: string): Row | undefined =>
  Object.hasOwn(KNOWN, code) ? KNOWN[code as ServerCode] : undefined;

/** The fields that error frames and problems share. */
export function wireFields({
  code,
  title,
  retryable,
  retryAfterMs,
  field,
  limit,
  current,
}: TestRefusal): object {
  const [, mayRetry = 0, sentence = `The server answers ${code}.`] = row(code) ?? [];
  return {
    code,
    title: title ?? sentence,
    retryable: retryable ?? mayRetry > 0,
    ...(field !== undefined && { field }),
    ...(limit !== undefined && { limit }),
    ...(current && { current }),
    ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
  };
}

/** The HTTP status of a refusal. */
export const statusOf = ({ code, retryable }: TestRefusal): number =>
  row(code)?.[0] ?? (retryable ? 503 : 400);

/** The close code of a refusal that ends a connection. */
export const closeOf = (code: string): number => row(code)?.[3] ?? 1011;

/** Whether a refusal is of a send that is taken later: then the send keeps its `n` (SEND-4). */
export const isForNow = ({ code, retryable }: TestRefusal): boolean => retryable ?? row(code)?.[1] === 1;
