import { devToken, Refused } from '../guest/devapi.ts';

/** A message that a search found. */
export interface Found {
  readonly room: string;
  readonly seq: number;
  readonly author: string;
  readonly at: string;
  readonly data: unknown;
}

/** When a user was last there, as the server tells it. */
export interface LastSeen {
  readonly user: string;
  readonly online: boolean;
  readonly last_seen?: string;
}

/** The server takes this many users in one question. */
const mostUsers = 100;
/** Who belongs to a room is told up to here. */
const mostMembers = 500;

/** What a user of this page asks of the server over plain HTTP. Every call throws Refused, or fetch's own TypeError. */
export class Api {
  #token: string | undefined;

  constructor(private readonly user: string) {}

  /** The token that the client connected with last: the same is good here. */
  set token(token: string) {
    this.#token = token;
  }

  /** Makes the user a member of a room. Returns the seq from which on they are one. */
  async join(room: string): Promise<number> {
    const path = `/v1/rooms/${room}/members/${encodeURIComponent(this.user)}`;
    const body = JSON.stringify({ role: 'member' });
    const answer = await this.#ask(path, { method: 'PUT', body });
    return ((await answer.json()) as { since_seq: number }).since_seq;
  }

  /** Ends that. */
  async leave(room: string): Promise<void> {
    await this.#ask(`/v1/rooms/${room}/members/${encodeURIComponent(this.user)}`, { method: 'DELETE' });
  }

  /** The users who are members of a room. */
  async members(room: string): Promise<string[]> {
    const answer = await this.#ask(`/v1/rooms/${room}/members?limit=${mostMembers}`);
    return ((await answer.json()) as { members: { user: string }[] }).members.map(({ user }) => user);
  }

  /** When these users were last there. */
  async lastSeen(users: readonly string[]): Promise<LastSeen[]> {
    const seen: LastSeen[] = [];
    for (let i = 0; i < users.length; i += mostUsers) {
      const query = new URLSearchParams(users.slice(i, i + mostUsers).map(user => ['user', user]));
      const answer = await this.#ask(`/v1/users/presence?${query}`);
      seen.push(...((await answer.json()) as { users: LastSeen[] }).users);
    }
    return seen;
  }

  /** The first seq that a room keeps. */
  async floor(room: string): Promise<number> {
    return ((await (await this.#ask(`/v1/rooms/${room}`)).json()) as { floor: number }).floor;
  }

  /** Finds messages of one room, or, without one, of all rooms of the user. */
  async search(q: string, room: string | null, signal: AbortSignal): Promise<Found[]> {
    const path = room === null ? '/v1/me/search' : `/v1/rooms/${room}/search`;
    const query = new URLSearchParams({ q, limit: '30' });
    const answer = await this.#ask(`${path}?${query}`, { signal });
    return ((await answer.json()) as { events: Found[] }).events;
  }

  async #ask(path: string, init: RequestInit = {}): Promise<Response> {
    this.#token ??= (await devToken(this.user)).token;
    const headers = { Authorization: `Bearer ${this.#token}`, 'Content-Type': 'application/json' };
    const answer = await fetch(path, { cache: 'no-store', ...init, headers });
    if (answer.ok) return answer;
    const problem = (await answer.json().catch(() => ({}))) as { title?: string };
    throw new Refused(answer.status, problem.title ?? `The server answered ${answer.status}.`);
  }
}
