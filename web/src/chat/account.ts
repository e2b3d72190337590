import { type Client, createClient, type LogEntry, type Room, type RoomOverview } from 'roomlog';
import { indexedDBStorage } from 'roomlog/indexeddb';
import { devToken } from '../guest/devapi.ts';
import type { Body } from '../guest/guest.ts';
import { isNumber, isText, Kept, tableOf } from '../model/kept.ts';
import { isUnread } from '../model/rows.ts';
import { Value } from '../model/value.ts';
import { ServerClock } from '../model/when.ts';
import { Api } from './api.ts';

/** Whom a server in dev mode lets in here. */
export const names = ['Mira', 'Jonas'] as const;

/** One of them. */
export type Name = (typeof names)[number];

const firstRooms: readonly string[] = ['chat:lobby', 'chat:design', 'chat:travel', 'chat:quiet'];

/** Whoever missed more than this gets the latest page, and the rest while scrolling up. */
const mostReplayed = 500;

/** A user of this page: a client of their own, the rooms they are in, and what they have read and begun to write. */
export class Account {
  readonly client: Client;
  /** What is asked beside the connection. */
  readonly api: Api;
  /** The server's clock, set anew with each token. */
  readonly clock = new ServerClock();
  /** The rooms that are listed: those of this device, and those that the user is a member of. */
  readonly rooms: Kept<readonly string[]>;
  /** The last seq that was read, by room, as far as this device knows: it is there before the server has said it. Only ever grows. */
  readonly read: Kept<Readonly<Record<string, number>>>;
  /** What was begun to be written, by room. */
  readonly drafts: Kept<Readonly<Record<string, string>>>;
  /** How many messages have not been read, by room; 1000 is more than 999. */
  readonly unread = new Value<Readonly<Record<string, number>>>({});
  readonly #followed = new Map<string, Room<Body>>();
  /** By room: taken off the list, and not yet so for the server. */
  readonly #forgotten = new Set<string>();
  /** By room: membership was asked for on this page. */
  readonly #joining = new Set<string>();
  /** Whether the server has said which rooms the user is a member of. */
  #knows = false;

  constructor(readonly name: Name) {
    this.api = new Api(name);
    this.rooms = new Kept(`roomlog.rooms.${name}`, kept =>
      Array.isArray(kept) ? kept.filter(isText) : firstRooms,
    );
    this.read = new Kept(`roomlog.read.${name}`, kept => tableOf(kept, isNumber));
    this.drafts = new Kept(`roomlog.drafts.${name}`, kept => tableOf(kept, isText));
    this.client = createClient({
      url: location.origin,
      token: async ({ signal }) => {
        const { token, serverTime } = await devToken(name, signal);
        this.clock.set(serverTime, Date.now());
        this.api.token = token;
        return token;
      },
      storage: indexedDBStorage(),
      replay: mostReplayed,
      tombstones: true,
      onLog: entry => logLine(name, entry),
      user: name,
    });
    this.read.subscribe(() => this.#count());
    this.rooms.subscribe(() => this.#follow());
    this.client.rooms.subscribe(() => this.#mine());
    this.#follow();
  }

  /** A room of this user's; the same object each time. */
  room(id: string): Room<Body> {
    return this.client.room<Body>(id);
  }

  /** A room as the user's membership shows it; undefined where they are no member, or it is not known yet. */
  overview(id: string): RoomOverview | undefined {
    return this.client.rooms.get().find(({ room }) => room === id);
  }

  /** Lists a room and follows it from now on. */
  open(id: string): void {
    this.#forgotten.delete(id);
    if (!this.rooms.get().includes(id)) this.rooms.update(rooms => [...new Set([...rooms, id])]);
  }

  /** Takes a room off the list, and ends the membership in it. */
  forget(id: string): void {
    this.rooms.update(rooms => rooms.filter(room => room !== id));
    if (!this.overview(id)) return;
    this.#forgotten.add(id);
    this.api.leave(id).catch(() => this.#forgotten.delete(id)); // then it is listed again with the next news of it
  }

  /** Notes that a room was read up to this seq: here at once, and for everybody who may know it. */
  markRead(id: string, seq: number): void {
    this.#noteRead(id, seq);
    this.#followed.get(id)?.receipts.markRead(seq);
  }

  /** Notes what stands in a room's composer. */
  keepDraft(id: string, text: string): void {
    this.drafts.update(({ [id]: _, ...others }) => (text === '' ? others : { ...others, [id]: text }));
  }

  #noteRead(id: string, seq: number): void {
    if (seq <= (this.read.get()[id] ?? -1)) return;
    this.read.update(read => ({ ...read, [id]: Math.max(seq, read[id] ?? 0) }));
  }

  /** The listed rooms are followed for as long as the page lives: what comes is delivered to this device. */
  #follow(): void {
    for (const id of this.rooms.get()) {
      if (this.#followed.has(id)) continue;
      const room = this.room(id);
      const { lastRead, unread } = room.receipts;
      this.#followed.set(id, room);
      room.attach();
      room.messages.list.subscribe(() => this.#count());
      room.status.subscribe(() => this.#begin(room));
      room.on('reset', ({ reason }) => {
        if (reason !== 'too_far' && reason !== 'pruned') this.#restart(id); // another history, with seqs of its own
      });
      unread.subscribe(() => this.#count());
      lastRead.subscribe(() => lastRead.get() > 0 && this.#noteRead(id, lastRead.get()));
    }
    this.#count();
  }

  #restart(id: string): void {
    this.read.update(({ [id]: _, ...others }) => others);
  }

  /** What the server says of the user's own rooms. */
  #mine(): void {
    this.#knows = true;
    const mine = this.client.rooms.get();
    for (const id of this.#forgotten) if (!mine.some(({ room }) => room === id)) this.#forgotten.delete(id);
    for (const { room, read } of mine) {
      if (!this.#forgotten.has(room)) this.open(room);
      if (read > 0) this.#noteRead(room, read);
    }
    for (const room of this.#followed.values()) this.#begin(room);
    this.#count();
  }

  /**
   * Whoever opens a room becomes a member of it where they are none: the server counts what is new for members. What was there before
   * is no news. Who may not become one goes on without.
   */
  #begin(room: Room<Body>): void {
    const { id } = room;
    const { loaded, state, seq } = room.status.get();
    if (!loaded || state !== 'live' || !this.#knows || !this.rooms.get().includes(id)) return;
    const mine = this.overview(id);
    const read = this.read.get()[id];
    if (mine) {
      if (read === undefined) this.#noteRead(id, mine.firstUnread === null ? seq : mine.firstUnread - 1);
      // Read while there was no connection, in a page that is gone.
      else if (read > room.receipts.lastRead.get()) room.receipts.markRead(read);
    } else if (!this.#joining.has(id)) {
      this.#joining.add(id);
      if (read === undefined) this.markRead(id, seq);
      this.api.join(id).catch(() => {}); // without it, badges go by the receipts
    }
  }

  #count(): void {
    const counts = Object.fromEntries(this.rooms.get().map(id => [id, this.#unreadOf(id)]));
    const before = this.unread.get();
    const ids = Object.keys(counts);
    if (ids.length !== Object.keys(before).length || ids.some(id => before[id] !== counts[id]))
      this.unread.set(counts);
  }

  /** By the overview, or the receipts where there is none; what they do not know yet of what was read here is counted here. */
  #unreadOf(id: string): number {
    const read = this.read.get()[id];
    const room = this.#followed.get(id);
    if (read === undefined || !room) return 0;
    const mine = this.overview(id);
    if (mine && mine.read >= read) return mine.unread;
    const { unread, lastRead } = room.receipts;
    if (!mine && lastRead.get() > 0 && lastRead.get() >= read) return unread.get();
    return room.messages.list.get().filter(message => isUnread(message, read)).length;
  }
}

/** Lets the console tell how the connection went, one line each; the browser itself tells what failed. */
function logLine(name: Name, { level, event, data }: LogEntry): void {
  if (level !== 'debug') console.info(`${name}: ${event}`, data ?? '');
}

const accounts = new Map<Name, Account>();

/** The account of this name. It lives as long as the page, so that what it has to send goes on after a switch. */
export function accountOf(name: Name): Account {
  let account = accounts.get(name);
  if (!account) {
    account = new Account(name);
    accounts.set(name, account);
  }
  return account;
}

const key = 'roomlog.account';

/** Who this tab was, or else the last one was; `?as=Jonas` in the address says another. */
export function lastName(): Name {
  const asked = new URLSearchParams(location.search).get('as');
  const kept = [asked, read(() => sessionStorage), read(() => localStorage)];
  return names.find(name => name === kept.find(k => names.some(n => n === k))) ?? names[0];
}

/** Remembers who this tab is. */
export function keepName(name: Name): void {
  try {
    sessionStorage.setItem(key, name);
    localStorage.setItem(key, name);
  } catch {
    // Storage is forbidden: the choice holds until the page is left.
  }
}

function read(storage: () => Storage): string | null {
  try {
    return storage().getItem(key);
  } catch {
    return null;
  }
}
