import { isPage } from '../protocol/check.js';
import type { Page } from '../protocol/frames.js';
import { localError, type Refusal, RoomlogError } from './error.js';

/** How long a read of history may take. */
const READ_MS = 15_000;

/** Which page of a room: the fields of the request (POLL-1). */
export type HistoryQuery = Record<string, string | number | undefined>;

/** A page read over HTTP (POLL-2). */
export interface ReadPage extends Page {
  epoch: string;
  floor: number;
  head: number;
}

/** What a read needs. */
export interface ReadNeeds {
  /** The API's root. */
  api: string;
  fetch: typeof fetch;
  /** A token; another one than that which was refused. */
  token(refused: string | undefined, signal: AbortSignal): Promise<string>;
}

/** Reads one page over HTTP. Rejects with a RoomlogError, of code `network` where no answer came. */
export async function readPage(
  { api, fetch, token }: ReadNeeds,
  room: string,
  query: HistoryQuery,
): Promise<ReadPage> {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value));
  const url = `${api}/v1/rooms/${encodeURIComponent(room)}/events?${search}`;
  const signal = AbortSignal.timeout(READ_MS);
  const get = async (refused?: string) => {
    const current = await inTime(token(refused, signal), signal);
    return { current, answer: await fetch(url, { headers: { authorization: `Bearer ${current}` }, signal }) };
  };
  try {
    const { current, answer } = await get();
    return await take(answer.status === 401 ? (await get(current)).answer : answer);
  } catch (cause) {
    if (cause instanceof RoomlogError) throw cause;
    throw localError('network', 'The history could not be read.', true, cause);
  }
}

/** What is waited for, or a rejection when the signal is aborted: a token callback may ignore it. */
function inTime<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const late = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return Promise.race([promise, late]);
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
