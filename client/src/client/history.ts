import type { Page } from '../protocol/frames.js';
import { isPage } from '../protocol/parse.js';
import { localError, type Refusal, RoomlogError } from './error.js';
import type { Session } from './session.js';

/** How long a read of history may take. */
const READ_MS = 15_000;

/** A page read over HTTP (POLL-2). */
export interface ReadPage extends Page {
  epoch: string;
  floor: number;
  head: number;
}

/** Reads pages of history over HTTP, with the session's token. */
export class HistoryReader {
  readonly #session: Session;
  readonly #api: () => string;
  readonly #fetch: typeof fetch;

  constructor(session: Session, api: () => string, get: typeof fetch) {
    this.#session = session;
    this.#api = api;
    this.#fetch = get;
  }

  /** Reads one page. Rejects with a RoomlogError, of code `network` where no answer came. */
  async read(room: string, query: Record<string, string | number | undefined>): Promise<ReadPage> {
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value));
    const url = `${this.#api()}/v1/rooms/${encodeURIComponent(room)}/events?${search}`;
    try {
      const signal = AbortSignal.timeout(READ_MS);
      const token = await this.#session.token(undefined, signal);
      let answer = await this.#get(url, token, signal);
      if (answer.status === 401)
        answer = await this.#get(url, await this.#session.token(token, signal), signal);
      return await take(answer);
    } catch (cause) {
      if (cause instanceof RoomlogError) throw cause;
      throw localError('network', 'The history could not be read.', true, cause);
    }
  }

  #get(url: string, token: string, signal: AbortSignal): Promise<Response> {
    return this.#fetch(url, { headers: { authorization: `Bearer ${token}` }, signal });
  }
}

async function take(answer: Response): Promise<ReadPage> {
  const body: unknown = await answer.json().catch(() => undefined);
  if (answer.ok && isPage(body)) return body as ReadPage;
  const problem = body as Partial<Refusal> | undefined;
  if (!answer.ok && typeof problem?.code === 'string' && typeof problem.title === 'string') {
    throw new RoomlogError({ ...(problem as Refusal), retryable: problem.retryable === true });
  }
  throw localError('network', `The server answered ${answer.status}, not of the protocol.`, true);
}
