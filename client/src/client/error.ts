import type { ErrorCode } from '../protocol/codes.js';
import type { StateEntry } from '../protocol/frames.js';

/** What a refusal carries, on the wire and over HTTP alike (ERR-2, ERR-5). */
export interface Refusal {
  code: ErrorCode;
  title: string;
  retryable: boolean;
  retry_after_ms?: number | undefined;
  field?: string | undefined;
  limit?: number | undefined;
  request_id?: string | undefined;
  current?: Readonly<Record<string, StateEntry>> | undefined;
}

/** The one error of this package. `message` is a sentence for a person; programs look at `code`. */
export class RoomlogError extends Error {
  // Fields are declared only, which costs no bytes: the constructor sets them.

  /** Stable, e.g. `forbidden`; the codes of a server are explained on its page `docs`. */
  declare readonly code: ErrorCode;
  /** Whether the same request may succeed later. */
  declare readonly retryable: boolean;
  /** How long to wait at least, in milliseconds. */
  declare readonly retryAfterMs: number | undefined;
  /** The offending field, where there is one. */
  declare readonly field: string | undefined;
  /** The limit that was passed, where there is one. */
  declare readonly limit: number | undefined;
  /** The server's name for the request, to quote to an operator. */
  declare readonly requestId: string | undefined;
  /** Of a `conflict`: by key, what was set since. */
  declare readonly current: Readonly<Record<string, StateEntry>> | undefined;
  /** The page of the server that says cause and cure. */
  declare readonly docs: string;

  constructor(refusal: Refusal, options?: { cause?: unknown }) {
    const {
      title,
      code,
      retryable,
      retry_after_ms: retryAfterMs,
      field,
      limit,
      request_id: requestId,
      current,
    } = refusal;
    super(title, options);
    const docs = `/errors#${code}`;
    const name = 'RoomlogError';
    Object.assign(this, { name, code, retryable, retryAfterMs, field, limit, requestId, current, docs });
  }
}

/** An error that the client makes itself. */
export function localError(
  code: ErrorCode,
  title: string,
  retryable: boolean,
  cause?: unknown,
): RoomlogError {
  return new RoomlogError({ code, title, retryable }, cause === undefined ? undefined : { cause });
}

/** Code that reads history, which is loaded when it is first needed; without it there is nothing to read. */
export function lazily<T>(code: Promise<T>): Promise<T> {
  return code.catch(cause => {
    throw localError('network', 'The history could not be read.', true, cause);
  });
}

/** Refusals of the connection rather than of the request: the link is about to close (AUTH-7 to AUTH-10). */
export function concernsConnection(code: string): boolean {
  return /^(unauthenticated|token_expired|auth_timeout|revoked)$/.test(code);
}
