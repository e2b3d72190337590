import { type Ask, problem } from './exchange.js';

/** How often a node is asked that is behind the one that gave the page. */
const TRIES = 3;

/**
 * Reads the whole state of a room, as of `seq` or later, as a page has it: what comes with both counts by its seq. Gives the refusal where it
 * is refused, nothing where the server has no state, and rejects where no answer came.
 */
export async function readState(
  ask: Ask,
  room: string,
  seq: number,
): Promise<{ full: boolean; state: unknown } | ReturnType<typeof problem> | undefined> {
  for (let tries = 0; tries < TRIES; tries++) {
    const answer = await ask(`/v1/rooms/${encodeURIComponent(room)}/state`);
    if (answer.status === 404 && answer.body?.code === 'not_found') return undefined; // of an earlier version
    if (!answer.ok || !answer.body) return problem(answer, 'unavailable');
    if ((answer.body.seq as number) >= seq) return { full: true, state: answer.body.state ?? {} };
  }
  return problem({ ok: false, status: 503, body: undefined }, 'unavailable');
}
