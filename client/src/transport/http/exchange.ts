/** What a request was answered: the body as JSON, where it is JSON. */
export interface Answer {
  ok: boolean;
  status: number;
  body: Record<string, unknown> | undefined;
  /** The name of the node that answered (NODE-1). */
  node: string | undefined;
}

/** One request of a link: `path` is below the API's root. Rejects where no answer came, or the signal was aborted. */
export type Ask = (
  path: string,
  init?: { method?: string; body?: string; signal?: AbortSignal },
) => Promise<Answer>;

/** What makes a request. */
export type Fetch = typeof fetch;

/** How long an answer may take, beyond what the request itself asks to wait. */
const ANSWER_MS = 15_000;
/** As `wait` of the protocol: a module that this chunk shared with the core would be a third chunk, and the core grow by it. */
const MAX_RETRY_MS = 3_600_000;
/** The most that a request asks to wait (POLL-6). */
const MAX_WAIT_MS = 55_000;

/** Makes the requests of one link, each with the token that it has then, all ended by its signal. */
export function asker(api: string, fetch: Fetch, token: () => string, over: AbortSignal): Ask {
  return async (path, { method = 'POST', body, signal } = {}) => {
    const waits = path.includes('wait=');
    const limit = AbortSignal.timeout(ANSWER_MS + (waits ? MAX_WAIT_MS : 0));
    const ends = AbortSignal.any(signal ? [over, limit, signal] : [over, limit]);
    const request = () =>
      fetch(`${api}${path}`, {
        headers: {
          authorization: `Bearer ${token()}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { method, body }),
        signal: ends,
        cache: 'no-store',
      });
    // Something in between may have cut a kept connection at that very moment. Asking twice does no harm: a send has its tag.
    const answer = await request().catch(cause => {
      if (waits || ends.aborted) throw cause;
      return request();
    });
    const json: unknown = await answer.json().catch(() => undefined);
    over.throwIfAborted();
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
    return {
      ok: answer.ok,
      status: answer.status,
      body: isObject ? (json as Record<string, unknown>) : undefined,
      node: answer.headers.get('roomlog-node') ?? undefined,
    };
  };
}

/** The fields of an error frame that a problem has too (ERR-5). A proxy's own page is taken for `fallback`. */
export function problem(
  { status, body }: Omit<Answer, 'node'>,
  fallback: string,
): Record<string, unknown> & { code: string } {
  if (typeof body?.code === 'string' && typeof body.title === 'string') {
    return {
      ...body,
      op: 'error',
      code: body.code,
      retryable: body.retryable === true,
      ...('retry_after_ms' in body && {
        retry_after_ms: Math.min(Number(body.retry_after_ms) || 0, MAX_RETRY_MS),
      }),
    };
  }
  return { op: 'error', code: fallback, title: `The server answered ${status}.`, retryable: true };
}

/** What a token says (AUTH-2 to AUTH-4), read without checking it: the server does that. Nothing where it is no JWT. */
export function claims(token: string): { sub?: unknown; grants?: unknown; exp?: unknown } {
  try {
    const text = token.split('.')[1] ?? '';
    const bytes = Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
    return Object(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return {};
  }
}

/** Whether the server answers at all. */
export async function isThere(api: string, fetch: Fetch, signal: AbortSignal): Promise<boolean> {
  return (await fetch(`${api}/healthz`, { signal, cache: 'no-store' })).ok;
}

/** Resolves after so long, or when the signal is aborted. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
