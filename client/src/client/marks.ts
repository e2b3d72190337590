import type { KeptNeeds } from './kept.js';
import { request } from './request.js';
import type { MarkBox } from './storage.js';

/** How long the server may take for one mark. */
const SEND_MS = 15_000;

/** How far one user has read the rooms, kept until the server has it: a tab that is closed meanwhile leaves it to another. */
export class Marks {
  readonly box: MarkBox;
  readonly #user: string;
  readonly #needs: KeptNeeds;
  #busy = false;

  constructor(box: MarkBox, user: string, needs: KeptNeeds) {
    this.box = box;
    this.#user = user;
    this.#needs = needs;
  }

  /** Sends what is kept, by request (RCPT-11): the rooms need not be open. What is not taken is sent on the next connection. */
  async send(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (const [room, read] of await this.box.all()) {
      if (!(await this.#taken(room, read))) break;
      this.box.delete(room, read);
    }
    this.#busy = false;
  }

  /** Whether a mark need not be kept any more. */
  async #taken(room: string, read: number): Promise<boolean> {
    const { requests, session } = this.#needs;
    if (!session.isUp || session.user !== this.#user) return false;
    // A token that took the place of a refused one may be another user's.
    const token: typeof requests.token = (refused, signal) =>
      refused === undefined ? requests.token(refused, signal) : Promise.reject(new Error('refused'));
    try {
      const answer = await request(
        { ...requests, token },
        `/v1/rooms/${encodeURIComponent(room)}/receipt`,
        SEND_MS,
        {
          method: 'PUT',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ read }),
        },
      );
      return answer.ok || (await answer.json()).retryable === false;
    } catch {
      return false;
    }
  }
}
