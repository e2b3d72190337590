import { type Ask, problem } from './exchange.js';

/** A `send` frame as the client wrote it (SEND-1). */
export interface SendFrame {
  op: 'send';
  id: number;
  n: number;
  room: string;
  tag: string;
  type: string;
  data: unknown;
  if_seq?: number;
}

/** One room's sends: those that wait, and the `n` that is taken next. */
interface Lane {
  next: number;
  waiting: SendFrame[];
  busy: boolean;
}

/** What the sends of a link need. */
export interface SendsNeeds {
  ask: Ask;
  say(frame: object): void;
  /** Handles a problem that ends the whole link; true if this one does. */
  ends(problem: { code: string }): boolean;
  /** No answer came. */
  cut(): void;
}

/**
 * Sends by request, with the answers that a WebSocket would give. One request of a room is under way at a time
 * (HTTP-4), so the order of `n` is the order in the room (SEND-8) however the network reorders requests; after a
 * retryable refusal what is behind it is `out_of_order` until it comes again (SEND-4).
 */
export class Sends {
  readonly #lanes = new Map<string, Lane>();
  readonly #needs: SendsNeeds;

  constructor(needs: SendsNeeds) {
    this.#needs = needs;
  }

  /** Takes a frame; the answer is said. */
  take(frame: SendFrame): void {
    const lane = this.#lanes.get(frame.room) ?? { next: 1, waiting: [], busy: false };
    this.#lanes.set(frame.room, lane);
    lane.waiting.push(frame);
    if (!lane.busy) void this.#run(lane);
  }

  async #run(lane: Lane): Promise<void> {
    lane.busy = true;
    for (let frame = lane.waiting.shift(); frame; frame = lane.waiting.shift()) {
      if (frame.n > lane.next) this.#refuse(frame, OUT_OF_ORDER);
      else if (!(await this.#store(lane, frame))) return;
    }
    lane.busy = false;
  }

  /** False if the link has ended with it. */
  async #store(lane: Lane, frame: SendFrame): Promise<boolean> {
    const { id, n, room, tag, type, data, if_seq } = frame;
    const path = `/v1/rooms/${encodeURIComponent(room)}/events`;
    const body = JSON.stringify({ tag, type, data, if_seq });
    const answer = await this.#needs.ask(path, { body }).catch(() => undefined);
    if (!answer) {
      this.#needs.cut();
      return false;
    }
    if (answer.ok && answer.body) {
      const { seq, epoch, at, duplicate = false } = answer.body;
      lane.next = Math.max(lane.next, n + 1);
      this.#needs.say({ op: 'ack', id, room, tag, seq, epoch, at, duplicate });
      return true;
    }
    // An answer that is not the server's says nothing of what the server did; but what is forbidden by something in
    // between, or too large for it, will be so the next time, and must not hold up what is behind it.
    const refusal = problem(answer, 'outcome_unknown');
    if (
      refusal.code === 'outcome_unknown' &&
      !answer.body &&
      (answer.status === 403 || answer.status === 413)
    ) {
      Object.assign(refusal, {
        code: 'network',
        title: `Something on the way refused it (${answer.status}).`,
        retryable: false,
      });
    }
    if (this.#needs.ends(refusal)) return false;
    if (!refusal.retryable) lane.next = Math.max(lane.next, n + 1);
    this.#refuse(frame, refusal);
    return true;
  }

  #refuse({ id, room, tag }: SendFrame, refusal: object): void {
    this.#needs.say({ ...refusal, id, room, tag });
  }
}

const OUT_OF_ORDER = {
  op: 'error',
  code: 'out_of_order',
  title: 'An earlier send of this room is to come first.',
  retryable: true,
};
