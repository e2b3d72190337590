import type { ErrorCode, ServerCode } from '../protocol/codes.js';

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
}

/** Code → HTTP status, whether a retry helps, the sentence, and the close code where it ends a connection. */
type Row = readonly [status: number, retryable: boolean, title: string, close?: number];

/** What the real server says; a test holds this equal to `spec/errors.json`. Other codes have no sentence of their own. */
export const KNOWN: Partial<Record<ServerCode, Row>> = {
  bad_request: [400, false, 'The request cannot be read.'],
  bad_room: [400, false, 'A room id is kind:name, 3 to 200 bytes, such as chat:general.'],
  bad_position: [
    400,
    false,
    'A position is SEQ, EPOCH:SEQ or EPOCH:SEQ:MARK as the server gave it; 0 is the beginning.',
  ],
  bad_tag: [400, false, 'A tag is a UUID made once per send, such as 0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e.'],
  bad_type: [400, false, 'A type is 1 to 32 of a-z, 0-9, _ . -, beginning with a letter, such as message.'],
  bad_data: [400, false, 'The data of an event is any JSON value without the character \\u0000.'],
  message_too_large: [413, false, 'This is larger than it may be.', 1009],
  unknown_op: [400, false, 'The op is not one of hello, join, send, leave, refresh, ping, pong.'],
  unknown_room: [404, false, 'There is no such room for you.'],
  forbidden: [403, false, 'You may read this room, but not send to it.'],
  refused: [422, false, 'The app does not take this event.'],
  unauthenticated: [401, false, 'A valid token is needed.', 4501],
  token_expired: [401, false, 'The token has expired; get a new one.', 4501],
  revoked: [403, false, 'This access was taken back.', 4503],
  tag_conflict: [409, false, 'This tag was used for another event.'],
  out_of_order: [409, true, 'An earlier send of this connection to this room has to be sent again first.'],
  rate_limited: [429, true, 'This is done faster than is allowed; wait and do it again.'],
  overloaded: [503, true, 'The server has more to do than it takes on; try again.', 4002],
  unavailable: [503, true, 'The store does not answer right now; nothing was stored.'],
  outcome_unknown: [
    503,
    true,
    'It is not known yet whether the event was stored; send it again with the same tag.',
  ],
  storage_full: [507, true, 'The store is full; nothing was stored.'],
  limit_exceeded: [429, false, 'There are as many of these as there may be.'],
  reset: [410, false, 'The position cannot be continued; read again without one.'],
  unsupported_version: [400, false, 'This server does not speak that version of the protocol.', 4510],
  not_found: [404, false, 'There is nothing at this path.'],
  method_not_allowed: [405, false, 'This path does not take that method.'],
  ping_timeout: [408, true, 'The client did not answer a ping in time.', 4001],
  going_away: [503, true, 'This server is going away; connect again.', 1012],
};

const row = (code: string): Row | undefined =>
  Object.hasOwn(KNOWN, code) ? KNOWN[code as ServerCode] : undefined;

/** The fields that error frames and problems share. */
export function wireFields({ code, title, retryable, retryAfterMs, field, limit }: TestRefusal): object {
  const [, mayRetry = false, sentence = `The test refused this as ${code}.`] = row(code) ?? [];
  return {
    code,
    title: title ?? sentence,
    retryable: retryable ?? mayRetry,
    ...(field !== undefined && { field }),
    ...(limit !== undefined && { limit }),
    ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
  };
}

/** The HTTP status of a refusal. */
export const statusOf = ({ code, retryable }: TestRefusal): number =>
  row(code)?.[0] ?? (retryable ? 503 : 400);

/** The close code of a refusal that ends a connection. */
export const closeOf = (code: string): number => row(code)?.[3] ?? 1011;

/** Whether a refusal is of a send that is taken later: then the send keeps its `n` (SEND-4). */
export const isForNow = ({ code, retryable }: TestRefusal): boolean => retryable ?? row(code)?.[1] ?? false;
