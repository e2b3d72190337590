import { problem, sleep } from './exchange.js';
import type { Aside, AsideFrame, Asides, FeedHost, SidesFeed } from './link.js';
import type { Command, SourceHost } from './shared.js';

/** How often the latest of a kind is said at most. */
const SAY_MS = 200;
/** The longest wait before something is said again that was not taken, as where the node that holds the stream does not answer. */
const MAX_SAY_MS = 30_000;
/** How often is asked what nobody tells. */
const ASK_MS = 10_000;
/** Above so many members a room is counted, as on a stream (PRES-7). */
const NAMED = 200;

type Fields = Record<string, unknown>;
type Marks = { delivered: number; read: number };

const pathOf = (room: unknown) => `/v1/rooms/${encodeURIComponent(String(room))}`;

/** What one tab asks beside the logs, and shows there: it takes the client's frames. Its own marks it sends by itself. */
export class OwnAsides {
  readonly #host: FeedHost;
  readonly #asides: Map<string, Aside>;
  readonly #feed: SidesFeed;
  /** By room: the highest marks that are to be sent; while they are being sent, none. */
  readonly #marks = new Map<string, Marks | undefined>();

  constructor(host: FeedHost, asides: Map<string, Aside>, feed: SidesFeed) {
    this.#host = host;
    this.#asides = asides;
    this.#feed = feed;
  }

  /** Takes a join, of which the link tells the feed, or a frame that concerns what is beside a log. */
  take(frame: AsideFrame | ({ op: 'join'; room: string } & Fields)): void {
    const { op, room } = frame;
    if (op === 'join') this.#join(room, frame);
    else if (op === 'me') this.#me();
    else if (op === 'read') void this.#mark(room, seqOf(frame.delivered), seqOf(frame.read));
    else if (op === 'sync') this.#feed.shows([`${frame.side} ${room}`]);
    else this.#show(room, frame);
  }

  #join(room: string, { with: sides, present, presence }: Fields): void {
    const { idle = false, shown = new Map() } = this.#asides.get(room) ?? {};
    const wanted = sides as readonly string[];
    const is = typeof present === 'boolean' ? present : wanted.includes('presence');
    this.#asides.set(room, { with: wanted, present: is, idle, shown });
    if (is && presence) this.#put(room, 'presence', { op: 'presence', data: presence });
    else if (!is) this.#put(room, 'presence', undefined);
    // A stream that is there already, and a poll, would not say where we are (RCPT-4).
    if (wanted.includes('receipts')) void this.#mark(room, 0, 0);
  }

  #me(): void {
    this.#asides.set('', { with: ['me'], present: false, idle: false, shown: new Map() });
    this.#feed.changed();
  }

  #show(room: string, { op, type, key, data, idle }: Fields): void {
    const aside = this.#asides.get(room);
    if (!aside) return; // left meanwhile
    if (op === 'signal') {
      const frame = data === null || data === undefined ? undefined : { op, type, key, data };
      this.#put(room, `${type} ${key}`, frame);
    } else if (data) this.#put(room, 'presence', { op: 'presence', data });
    if (typeof idle === 'boolean') this.#asides.set(room, { ...(this.#asides.get(room) as Aside), idle });
    this.#feed.shows();
  }

  /** A new object each time: it tells a repeat, such as that somebody still types, from what was said. */
  #put(room: string, name: string, frame: (Fields & { op: string }) | undefined): void {
    const aside = this.#asides.get(room) as Aside;
    const shown = new Map(aside.shown);
    if (!frame) shown.delete(name);
    else {
      const at = Math.max(Date.now(), (shown.get(name)?.at ?? 0) + 1);
      shown.set(name, { at, frame });
    }
    this.#asides.set(room, { ...aside, shown });
  }

  /** Marks by request (RCPT-11): any node takes it, there need be no stream. One is under way per room; what is not answered is sent again. */
  async #mark(room: string, delivered: number, read: number): Promise<void> {
    const isBusy = this.#marks.has(room);
    const before = this.#marks.get(room) ?? { delivered: 0, read: 0 };
    this.#marks.set(room, higher(before, { delivered, read }));
    if (isBusy) return;
    const { ask, over } = this.#host;
    let waitMs = SAY_MS;
    for (let next = this.#marks.get(room); next; next = this.#marks.get(room)) {
      this.#marks.set(room, undefined);
      const init = { method: 'PUT', body: JSON.stringify(next) };
      const answer = await ask(`${pathOf(room)}/receipt`, init).catch(() => undefined);
      if (over.aborted) return;
      if (answer?.ok) {
        waitMs = SAY_MS;
        this.#host.say({ op: 'marked', ...answer.body, room });
      } else if (!answer || problem(answer, 'unavailable').retryable) {
        waitMs = Math.min(MAX_SAY_MS, waitMs * 2);
        this.#marks.set(room, higher(this.#marks.get(room) ?? next, next));
        await sleep(waitMs, over);
      }
    }
    this.#marks.delete(room);
  }
}

const seqOf = (v: unknown): number => Number(v ?? 0);

function higher(a: Marks, b: Marks): Marks {
  return { delivered: Math.max(a.delivered, b.delivered), read: Math.max(a.read, b.read) };
}

/**
 * Tells the session of one stream what its tabs show: what is to be seen and what was said are compared, and the difference is said, the
 * latest of each kind every 200 ms. So nothing that got lost stays unsaid, and the next stream is told all that still counts.
 */
export class Teller {
  readonly #host: SourceHost;
  readonly #command: Command;
  readonly #over: AbortSignal;
  /** By room and kind, what the server was told on this stream. */
  readonly #said = new Map<string, { at: number; frame: Fields }>();
  readonly #again = new Set<string>();
  #busy = false;
  #waitMs = SAY_MS;

  /** `over` is aborted with the stream. */
  constructor(host: SourceHost, command: Command, over: AbortSignal) {
    this.#host = host;
    this.#command = command;
    this.#over = over;
  }

  /** Something is shown, or is to be given `again`. */
  async due(again: readonly string[] = []): Promise<void> {
    for (const side of again) this.#again.add(side);
    if (this.#busy) return;
    this.#busy = true;
    for (let next = this.#next(); next.length > 0 && !this.#over.aborted; next = this.#next()) {
      const taken = await Promise.all(next.map(say => say()));
      this.#waitMs = taken.every(Boolean) ? SAY_MS : Math.min(MAX_SAY_MS, this.#waitMs * 2);
      await sleep(this.#waitMs, this.#over);
    }
    this.#busy = false;
  }

  /** What is to be said now. Each resolves to whether it was taken, or need not be said again. */
  #next(): (() => Promise<boolean>)[] {
    const next: (() => Promise<boolean>)[] = [];
    const wanted = this.#wanted();
    for (const [key, { at, frame }] of wanted) {
      const said = this.#said.get(key);
      if (said?.at !== at) next.push(() => this.#say(frame, () => this.#said.set(key, { at, frame })));
    }
    for (const [key, { frame }] of this.#said) {
      if (frame.op === 'signal' && !wanted.has(key))
        next.push(() => this.#say({ ...frame, data: null }, () => this.#said.delete(key)));
    }
    for (const each of this.#again) {
      this.#again.delete(each); // who still lacks it asks again
      const [side, room] = each.split(' ');
      next.push(() => this.#say(side === 'me' ? { op: 'me' } : { op: 'sync', room, side }));
    }
    return next;
  }

  #wanted(): Map<string, { at: number; frame: Fields }> {
    const wanted = new Map<string, { at: number; frame: Fields }>();
    for (const [room, { present, idle, shown }] of this.#host.asides) {
      const key = `${room} idle`;
      // A connection that says nothing is not idle (PRES-3).
      if (present && (idle || this.#said.has(key)))
        wanted.set(key, { at: Number(idle), frame: { op: 'presence', room, idle } });
      for (const [name, { at, frame }] of shown) {
        if (frame.op !== 'presence' || present)
          wanted.set(`${room} ${name}`, { at, frame: { ...frame, room } });
      }
    }
    return wanted;
  }

  async #say(frame: Fields, taken = () => {}): Promise<boolean> {
    const answer = await this.#command(frame).catch(() => undefined);
    if (this.#over.aborted) return true;
    if (!answer || (!answer.ok && problem(answer, 'unavailable').retryable)) return frame.op === 'sync';
    taken();
    if (answer.body?.op === 'me') this.#host.say(answer.body);
    return true;
  }
}

/** Where nobody tells it, asks who is in the rooms, and for the client's own rooms, until `over`. */
export async function askAround(host: SourceHost, over: AbortSignal): Promise<void> {
  for (let version = 1; !over.aborted; version++) {
    for (const [room, { with: sides }] of host.asides as Asides) {
      if (sides.includes('presence')) await askPresence(host, room, version, over);
      if (sides.includes('me')) await askMe(host, over);
    }
    await sleep(ASK_MS, over);
  }
}

async function askPresence(
  host: SourceHost,
  room: string,
  version: number,
  over: AbortSignal,
): Promise<void> {
  const answer = await host
    .ask(`${pathOf(room)}/presence?limit=${NAMED}`, { signal: over })
    .catch(() => undefined);
  if (!answer?.ok || !answer.body || over.aborted) return;
  const { users, connections, members = [], counts = false, stale = false, next } = answer.body;
  const isLarge = counts === true || next !== undefined;
  const all = isLarge ? { counts: true } : { set: members };
  host.say({ op: 'presence', room, full: true, version, users, connections, stale, ...all });
}

async function askMe(host: SourceHost, over: AbortSignal): Promise<void> {
  const rooms: unknown[] = [];
  for (let after: unknown = ''; after !== undefined; ) {
    const path = `/v1/me/rooms?limit=500&after=${encodeURIComponent(String(after))}`;
    const answer = await host.ask(path, { signal: over }).catch(() => undefined);
    if (!answer?.ok || !Array.isArray(answer.body?.rooms)) return;
    rooms.push(...answer.body.rooms);
    after = answer.body.next;
  }
  host.say({ op: 'me', full: true, rooms, gone: [] });
}
