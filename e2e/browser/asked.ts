import { randomUUID } from 'node:crypto';

/** An event as the server stores it. */
export interface Stored {
  readonly seq: number;
  readonly author: string;
  readonly tag: string;
  readonly type: string;
  readonly data: { readonly text?: string };
}

/** What a test asks of a server in dev mode over plain HTTP. */
export abstract class Asked {
  /** The origin of its API. */
  abstract readonly url: string;

  /** All events of a room, in the order of the store. */
  async log(room: string): Promise<Stored[]> {
    const headers = { Authorization: `Bearer ${await this.token()}` };
    const events: Stored[] = [];
    for (;;) {
      const after = events.at(-1)?.seq ?? 0;
      const answer = await fetch(`${this.url}/v1/rooms/${room}/events?after=${after}&limit=500`, { headers });
      if (!answer.ok) throw new Error(`read the log: ${answer.status} ${await answer.text()}`);
      const page = (await answer.json()) as { head: number; events: Stored[] };
      events.push(...page.events);
      if (page.events.length === 0 || page.events.at(-1)?.seq === page.head) return events;
    }
  }

  /** Its messages alone: whoever opens a room in the chat becomes a member, which is an event, too. */
  async messages(room: string): Promise<Stored[]> {
    return (await this.log(room)).filter(({ type }) => type === 'message');
  }

  /** Stores one event of another type, or with other data than a text. Returns its seq. */
  async append(room: string, author: string, type: string, data: object): Promise<number> {
    const headers = {
      Authorization: `Bearer ${await this.token(author)}`,
      'Content-Type': 'application/json',
    };
    const body = JSON.stringify({ tag: randomUUID(), type, data });
    const answer = await fetch(`${this.url}/v1/rooms/${room}/events`, { method: 'POST', headers, body });
    if (answer.status !== 201) throw new Error(`store an event: ${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { seq: number }).seq;
  }

  /** The first seq that a room keeps. */
  async floor(room: string): Promise<number> {
    const headers = { Authorization: `Bearer ${await this.token()}` };
    const answer = await fetch(`${this.url}/v1/rooms/${room}`, { headers });
    return ((await answer.json()) as { floor: number }).floor;
  }

  /** Stores messages of one author over plain HTTP, one after the other. */
  async post(room: string, author: string, texts: readonly string[]): Promise<void> {
    const headers = {
      Authorization: `Bearer ${await this.token(author)}`,
      'Content-Type': 'application/json',
    };
    for (const text of texts) {
      const body = JSON.stringify({ tag: randomUUID(), type: 'message', data: { text } });
      const answer = await fetch(`${this.url}/v1/rooms/${room}/events`, { method: 'POST', headers, body });
      if (answer.status !== 201) throw new Error(`store a message: ${answer.status} ${await answer.text()}`);
    }
  }

  /** Keeps a user out of a room. */
  async ban(room: string, user: string): Promise<void> {
    const headers = { Authorization: `Bearer ${await this.token()}`, 'Content-Type': 'application/json' };
    const answer = await fetch(`${this.url}/v1/rooms/${room}/bans/${user}`, {
      method: 'PUT',
      headers,
      body: '{}',
    });
    if (!answer.ok) throw new Error(`ban: ${answer.status} ${await answer.text()}`);
  }

  /** A token of dev mode. */
  async token(user = 'reader'): Promise<string> {
    const answer = await fetch(`${this.url}/v1/dev/token?user=${user}`);
    return ((await answer.json()) as { token: string }).token;
  }
}
