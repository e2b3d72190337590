import { problem } from './exchange.js';
import type { FeedHost } from './link.js';

/** How often a node is asked that is behind the one that gave the page. */
const TRIES = 3;

/**
 * Reads the whole state of a room, which a latest page that is read does not have, as of `seq` or later, as a page has it: what comes with both
 * counts by its seq. Nothing where the server has no state. A refusal is told as that of the join `id`, and undefined then. Rejects where no
 * answer came.
 */
export async function readState(
  host: FeedHost,
  room: string,
  id: number,
  seq: number,
): Promise<{ full?: boolean; state?: unknown } | undefined> {
  let refusal = problem({ ok: false, status: 503, body: undefined }, 'unavailable');
  for (let tries = 0; tries < TRIES; tries++) {
    const answer = await host.ask(`/v1/rooms/${encodeURIComponent(room)}/state`);
    if (answer.status === 404 && answer.body?.code === 'not_found') return {}; // of an earlier version
    if (!answer.ok || !answer.body) {
      refusal = problem(answer, 'unavailable');
      break;
    }
    if ((answer.body.seq as number) >= seq) return { full: true, state: answer.body.state ?? {} };
  }
  if (!host.ends(refusal)) host.say({ ...refusal, id, room });
  return undefined;
}
