/**
 * The error codes of version 1. `spec/errors.json` is their one source; a test holds this list equal to it.
 * A client that meets a code it does not know goes by `retryable` (ERR-4), so nothing here branches on the list.
 */
export const ERROR_CODES = [
  'bad_request',
  'bad_room',
  'bad_position',
  'bad_tag',
  'bad_type',
  'bad_data',
  'bad_update',
  'message_too_large',
  'unknown_op',
  'unknown_room',
  'unknown_target',
  'forbidden',
  'refused',
  'unauthenticated',
  'auth_timeout',
  'token_expired',
  'revoked',
  'tag_conflict',
  'conflict',
  'doc_replaced',
  'out_of_order',
  'rate_limited',
  'overloaded',
  'unavailable',
  'outcome_unknown',
  'storage_full',
  'limit_exceeded',
  'reset',
  'origin_not_allowed',
  'unsupported_version',
  'unsupported_media_type',
  'not_acceptable',
  'not_found',
  'method_not_allowed',
  'slow_consumer',
  'ping_timeout',
  'going_away',
  'internal',
] as const;

/** A code that a server of version 1 may answer with. */
export type ServerCode = (typeof ERROR_CODES)[number];

/** Codes made by the client itself, for what no server answered; `client_codes` of `spec/errors.json` explains them. */
export const LOCAL_CODES = [
  /** The connection could not be made, or was lost. */
  'network',
  /** The client was closed before an answer came. */
  'closed',
  /** The send was cancelled by its sender. */
  'cancelled',
  /** The send was made by another user than the connection's. */
  'author_mismatch',
  /** The send waited for more than 7 days. */
  'expired',
  /** The token callback failed. */
  'no_token',
  /** This runtime has no WebSocket and none was given. */
  'no_websocket',
] as const;

/** A code that this client may make itself. */
export type LocalCode = (typeof LOCAL_CODES)[number];

/** Every code an error of this package can have; a newer server may add others. */
export type ErrorCode = ServerCode | LocalCode | (string & {});

/** Why a position could not be continued (RESET-1). */
export type ResetReason = 'pruned' | 'epoch' | 'diverged' | 'ahead' | 'too_far' | (string & {});
