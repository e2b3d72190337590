import { wait } from '../../protocol/parse.js';

/** What a request was answered: the body as JSON, where it is JSON. */
export interface Answer {
  ok: boolean;
  status: number;
  body: Record<string, unknown> | undefined;
}

/** One request of a link: `path` is below the API's root. Rejects where no answer came, or the signal was aborted. */
export type Ask = (path: string, init?: { body?: string; signal?: AbortSignal }) => Promise<Answer>;

/** What makes a request. */
export type Fetch = typeof fetch;

/** How long an answer may take, beyond what the request itself asks to wait. */
const ANSWER_MS = 15_000;
/** The most that a request asks to wait (POLL-6). */
const MAX_WAIT_MS = 55_000;

/** Makes the requests of one link, all with its token and all ended by its signal. */
export function asker(api: string, fetch: Fetch, token: string, over: AbortSignal): Ask {
  return async (path, { body, signal } = {}) => {
    const limit = AbortSignal.timeout(ANSWER_MS + (path.includes('wait=') ? MAX_WAIT_MS : 0));
    const answer = await fetch(`${api}${path}`, {
      headers: {
        authorization: `Bearer ${token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { method: 'POST', body }),
      signal: AbortSignal.any(signal ? [over, limit, signal] : [over, limit]),
      cache: 'no-store',
    });
    const json: unknown = await answer.json().catch(() => undefined);
    over.throwIfAborted();
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
    return {
      ok: answer.ok,
      status: answer.status,
      body: isObject ? (json as Record<string, unknown>) : undefined,
    };
  };
}

/** The fields of an error frame that a problem has too (ERR-5). A proxy's own page is taken for `fallback`. */
export function problem(
  { status, body }: Answer,
  fallback: string,
): Record<string, unknown> & { code: string } {
  if (typeof body?.code === 'string' && typeof body.title === 'string') {
    return {
      ...body,
      op: 'error',
      code: body.code,
      retryable: body.retryable === true,
      ...('retry_after_ms' in body && { retry_after_ms: wait(body.retry_after_ms) }),
    };
  }
  return { op: 'error', code: fallback, title: `The server answered ${status}.`, retryable: true };
}
