import * as Y from 'yjs';
import type { Refusal, RoomlogError } from '../client/error.js';
import { type RequestNeeds, request } from '../client/request.js';
import { fromBase64, toBase64Url } from './bytes.js';

/** How long a request of a document may take: it may be a large one. */
const REQUEST_MS = 60_000;

/** What a server answers of a document (DOC-6). */
export interface ReadDoc {
  /** Which document it is; undefined where there is none (DOC-9). */
  readonly id: string | undefined;
  /** What the server has. */
  readonly vector: Uint8Array;
  /** What was lacking here. */
  readonly update: Uint8Array;
}

const pathOf = (room: string, doc: string) =>
  `/v1/rooms/${encodeURIComponent(room)}/docs/${encodeURIComponent(doc)}`;

/** Reads what is lacking behind a state vector. Rejects with a RoomlogError, of code `network` where no answer came. */
export async function readDoc(
  needs: RequestNeeds,
  room: string,
  doc: string,
  vector: Uint8Array,
): Promise<ReadDoc> {
  const path = `${pathOf(room, doc)}?sv=${toBase64Url(vector)}`;
  const body = await ask(needs, path, { headers: { accept: 'application/json' } });
  const [has, update] = [fromBase64(body.vector), fromBase64(body.update)];
  if (!has || !update) throw needs.core.localError('network', 'The answer is not of the protocol.', true);
  return { id: typeof body.id === 'string' ? body.id : undefined, vector: has, update };
}

/** Stores a large update of the document `id` (DOC-7, DOC-13), without a tag: what is stored already is stored once (DOC-4). Rejects as `readDoc`. */
export async function postDoc(
  needs: RequestNeeds,
  room: string,
  doc: string,
  update: Uint8Array<ArrayBuffer>,
  id = '',
): Promise<void> {
  const headers = { 'content-type': 'application/octet-stream' };
  await ask(needs, `${pathOf(room, doc)}?id=${encodeURIComponent(id)}`, {
    method: 'POST',
    headers,
    body: update,
  });
}

async function ask(needs: RequestNeeds, path: string, init: RequestInit): Promise<Record<string, unknown>> {
  const { localError, RoomlogError } = needs.core;
  let body: unknown;
  let answer: Response;
  try {
    answer = await request(needs, path, REQUEST_MS, init);
    body = await answer.json();
  } catch (cause) {
    throw localError('network', 'The server was not reached.', true, cause);
  }
  if (answer.ok) return Object(body);
  const problem = Object(body) as Refusal;
  if (typeof problem.code !== 'string')
    throw localError('network', `The server answered ${answer.status}, not of the protocol.`, true);
  throw new RoomlogError({ ...problem, retryable: problem.retryable === true }) as RoomlogError;
}

/** Whether somebody who has `theirs` lacks something of `mine`: what was written, or what was deleted. */
export function lacks(theirs: Uint8Array, mine: Uint8Array): boolean {
  const ours = Y.decodeUpdate(mine);
  if (ours.structs.length > 0) return true;
  const { clients } = Y.decodeUpdate(theirs).ds;
  return [...ours.ds.clients].some(([client, deleted]) => {
    const known = clients.get(client) ?? [];
    return deleted.some(
      ({ clock, len }) => !known.some(each => each.clock <= clock && each.clock + each.len >= clock + len),
    );
  });
}
