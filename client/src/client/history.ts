import type { Page } from '../protocol/frames.js';
import type { Core } from './core.js';
import type { Refusal } from './error.js';
import { type RequestNeeds, request } from './request.js';

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

/** Reads one page over HTTP. Rejects with a RoomlogError, of code `network` where no answer came. */
export async function readPage(needs: RequestNeeds, room: string, query: HistoryQuery): Promise<ReadPage> {
  const { core } = needs;
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) search.set(key, String(value));
  try {
    const path = `/v1/rooms/${encodeURIComponent(room)}/events?${search}`;
    return await take(core, await request(needs, path, READ_MS));
  } catch (cause) {
    if (cause instanceof core.RoomlogError) throw cause;
    throw core.localError('network', 'The history could not be read.', true, cause);
  }
}

async function take({ isPage, localError, RoomlogError }: Core, answer: Response): Promise<ReadPage> {
  const body: unknown = await answer.json().catch(() => undefined);
  // Events of the type `state` are listed only as far as they are kept.
  if (answer.ok && isPage({ full: true, ...Object(body) })) return body as ReadPage;
  const problem = body as Partial<Refusal> | undefined;
  if (!answer.ok && typeof problem?.code === 'string' && typeof problem.title === 'string') {
    throw new RoomlogError({ ...(problem as Refusal), retryable: problem.retryable === true });
  }
  throw localError('network', `The server answered ${answer.status}, not of the protocol.`, true);
}
