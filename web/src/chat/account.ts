import { type Client, createClient, type LogEntry, type Room } from 'roomlog';
import { indexedDBStorage } from 'roomlog/indexeddb';
import { devToken } from '../guest/devapi.ts';
import type { Body } from '../guest/guest.ts';
import { isNumber, isText, Kept, tableOf } from '../model/kept.ts';
import { isUnread } from '../model/rows.ts';
import { Value } from '../model/value.ts';
import { ServerClock } from '../model/when.ts';

/** Whom a server in dev mode lets in here. */
export const names = ['Mira', 'Jonas'] as const;

/** One of them. */
export type Name = (typeof names)[number];

const firstRooms: readonly string[] = ['chat:lobby', 'chat:design', 'chat:travel', 'chat:quiet'];

/** Whoever missed more than this gets the latest page, and the rest while scrolling up. */
const mostReplayed = 500;

/** A user of this page: a client of their own, the rooms they follow, and what they have read and begun to write. */
export class Account {
  readonly client: Client;
  /** The server's clock, set anew with each token. */
  readonly clock = new ServerClock();
  /** The rooms that are listed. */
  readonly rooms: Kept<readonly string[]>;
  /** The last seq that was read, by room. Only ever grows. */
  readonly read: Kept<Readonly<Record<string, number>>>;
  /** What was begun to be written, by room. */
  readonly drafts: Kept<Readonly<Record<string, string>>>;
  /** How many messages have not been read, by room. */
  readonly unread = new Value<Readonly<Record<string, number>>>({});
  readonly #followed = new Map<string, Room<Body>>();

  constructor(readonly name: Name) {
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
        return token;
      },
      storage: indexedDBStorage(),
      replay: mostReplayed,
      onLog: entry => logLine(name, entry),
      user: name,
    });
    this.read.subscribe(() => this.#count());
    this.rooms.subscribe(() => this.#follow());
    this.#follow();
  }

  /** A room of this user's; the same object each time. */
  room(id: string): Room<Body> {
    return this.client.room<Body>(id);
  }

  /** Lists a room and follows it from now on. */
  open(id: string): void {
    if (!this.rooms.get().includes(id)) this.rooms.update(rooms => [...new Set([...rooms, id])]);
  }

  /** Takes a room off the list. */
  forget(id: string): void {
    this.rooms.update(rooms => rooms.filter(room => room !== id));
  }

  /** Notes that a room was read up to this seq. */
  markRead(id: string, seq: number): void {
    if (seq <= (this.read.get()[id] ?? -1)) return;
    this.read.update(read => ({ ...read, [id]: Math.max(seq, read[id] ?? 0) }));
  }

  /** Notes what stands in a room's composer. */
  keepDraft(id: string, text: string): void {
    this.drafts.update(({ [id]: _, ...others }) => (text === '' ? others : { ...others, [id]: text }));
  }

  /** The listed rooms are followed for as long as the page lives, since their unread messages are counted. */
  #follow(): void {
    for (const id of this.rooms.get()) {
      if (this.#followed.has(id)) continue;
      const room = this.room(id);
      this.#followed.set(id, room);
      room.attach();
      room.messages.list.subscribe(() => this.#count());
      room.status.subscribe(() => this.#begin(room));
    }
    this.#count();
  }

  /** What was there before a room was first opened is not news. */
  #begin(room: Room<Body>): void {
    const { loaded, state, seq } = room.status.get();
    if (loaded && state === 'live' && this.read.get()[room.id] === undefined) this.markRead(room.id, seq);
  }

  #count(): void {
    const read = this.read.get();
    const counts: Record<string, number> = {};
    for (const id of this.rooms.get()) {
      const upTo = read[id];
      const messages = this.#followed.get(id)?.messages.list.get() ?? [];
      counts[id] = upTo === undefined ? 0 : messages.filter(m => isUnread(m, upTo)).length;
    }
    const before = this.unread.get();
    const ids = Object.keys(counts);
    if (ids.length !== Object.keys(before).length || ids.some(id => before[id] !== counts[id]))
      this.unread.set(counts);
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
