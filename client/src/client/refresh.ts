import { claims, sleep } from '../transport/http/exchange.js';
import type { Connection } from './connection.js';
import type { TokenContext } from './types.js';

/** So long before it expires a token is renewed at the latest, in milliseconds; one that lives shortly in its last tenth. */
const BEFORE_MS = 60_000;
/** What is left of a token when it is no longer worth a try: then the connection ends with it, and the next has a fresh one. */
const MIN_LEFT_MS = 1_000;
/** The longest that a timer takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Renews a connection's token before it expires, so that the connection outlives it (AUTH-10): fetches one, puts it in the
 * place of the last and tells the server. A token that does not say when it expires is left alone. Ends with the connection.
 */
export async function keepFresh(
  connection: Pick<Connection, 'over' | 'send'>,
  source: string | ((context: TokenContext) => Promise<string>),
  token: string | undefined,
  put: (token: string) => void,
): Promise<void> {
  if (typeof source === 'string') return;
  const { over } = connection;
  let last = token;
  while (last !== undefined) {
    const left = Number(claims(last).exp) * 1_000 - Date.now();
    if (!(left >= MIN_LEFT_MS)) return;
    const wait = Math.max(left * 0.9, left - BEFORE_MS);
    await sleep(Math.min(wait, MAX_TIMER_MS), over);
    if (over.aborted) return;
    if (wait > MAX_TIMER_MS) continue;
    // Where that fails, once more when most of what is left has passed.
    const asked = Promise.resolve({ reason: 'expired', signal: over } as const).then(source);
    const fresh = await asked.catch(() => undefined);
    if (over.aborted) return;
    if (fresh === undefined) continue;
    last = fresh;
    put(fresh);
    connection.send({ op: 'refresh', token: fresh });
  }
}
