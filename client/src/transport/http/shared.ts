import { type Answer, isThere, sleep } from './exchange.js';
import { asksOf, ownAsides, SharedSides, type SideFrame } from './folded.js';
import type { Aside, Asides, Feed, FeedHost, Place, SidesFeed } from './link.js';
import type { Frame, Note, Places, Told } from './notes.js';
import { offer, type Read, readOn } from './read.js';
import { hasTabs, multiplexed, shareName } from './tabs.js';

/** How much longer than its signs of life are apart a feed may be silent, in milliseconds. */
const SILENCE_GRACE_MS = 5_000;
/** How long a silent holder has to answer before another takes its place, in milliseconds; up to half as much is added by chance. */
const ANSWER_MS = 1_000;
/** So many rooms are carried by one feed: what a stream may follow (SSE-1). The others are read with each sign of life. */
const MAX_ROOMS = 32;
/** A tab that has not answered so many signs of life of the holder is gone. */
const MAX_MISSED = 4;

/** What a shared feed carries stands by itself: one room that is refused must not end the others. */
export interface SourceHost extends FeedHost {
  /** What a URL is to ask for beside the logs, in its query (SIDE-1, PRES-15, MEM-12). */
  readonly sides: readonly [name: string, value: string][];
  /** A stream has begun: the name of its connection, and how it is given commands, until `over`. */
  opened(connection: string, command: Command, over: AbortSignal): void;
  /** True where `sides` were refused, and are empty from now on: the rooms are worth more than what is beside them. */
  goesBare(refusal: Record<string, unknown>): boolean;
  /** Something was refused as a whole: what it was, a read of each room tells. */
  doubt(): void;
  /** See `readOn`. */
  read(room: string, signal: AbortSignal, wait: number): Promise<Read | undefined>;
}

/** Gives a command to a stream (SESS-1). Rejects where no answer came. */
export type Command = (frame: object) => Promise<Answer>;

/**
 * A feed that tabs share, since over HTTP/1.1 a browser has six connections to a server: seven tabs with a stream each would
 * stop all requests, sends too.
 *
 * Tabs of one API, user and grants elect a holder by a Web Lock. Its feed carries the rooms of all, and what it gives goes to the
 * others over a BroadcastChannel. Each tab keeps its own places and takes a page only where it adjoins: what is old is
 * dropped, a hole is closed by a plain read. So it does no harm when a tab joins or leaves, a note is lost or repeated, two hold
 * for a moment, or the next goes on from other places than the last. Grants are part of the election, so what one may
 * read all may; and what is refused or reset is told to no tab on another's word: it reads the room itself, with its own token.
 *
 * A holder that is closed lets go of the lock. From one that is frozen the lock is taken, when its signs of life have stopped
 * and it does not answer. Where there are no tabs to share with, or no need (HTTP/2 has one connection for all), a feed is
 * its own holder.
 */
class SharedFeed implements SidesFeed {
  readonly #host: FeedHost;
  readonly #kind: string;
  readonly #silenceMs: number;
  readonly #make: (host: SourceHost) => Feed;
  readonly #id = Math.random().toString(36);
  readonly #left = new AbortController();

  #begun = false;
  #name: string | undefined;
  #channel: BroadcastChannel | undefined;
  #waiting: AbortController | undefined;
  #release = () => {};
  /** The holder's: the feed, and where it stands in the rooms of all. */
  #source: Feed | undefined;
  readonly #carried = new Map<string, Place>();
  /** What the other tabs follow, and how many signs of life they have not answered. */
  readonly #others = new Map<string, { follows: Places; asides: Asides; missed: number }>();
  /** What the tabs ask and show beside the rooms that are carried. */
  readonly #sides = new SharedSides();
  /** What this tab asked for beside the logs when it last changed. */
  #asked: string[] = [];
  /** What the server last said of itself, as far as this tab knows. */
  #told: Told = { op: 'degraded', parts: [] };
  #heardAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The rooms that are being read, and whether another hole was seen meanwhile. */
  readonly #reading = new Map<string, boolean>();

  constructor(host: FeedHost, kind: string, pingMs: number, make: (host: SourceHost) => Feed) {
    this.#host = host;
    this.#kind = kind;
    this.#silenceMs = pingMs + SILENCE_GRACE_MS;
    this.#make = make;
    const { signal } = this.#left;
    // A page that is left may be kept for the back button, and would hold in its sleep.
    globalThis.addEventListener?.('pagehide', () => this.#leave(), { signal });
    globalThis.addEventListener?.(
      'pageshow',
      () => host.rooms.size + host.asides.size > 0 && this.changed(),
      { signal },
    );
  }

  changed(): void {
    if (!this.#begun) this.#begin();
    const asked = asksOf(this.#host.asides);
    const again = asked.filter(each => !this.#asked.includes(each));
    this.#asked = asked;
    this.#follow(again);
    if (!this.#source) return;
    this.#carry(again);
    this.#compare(this.#carried);
  }

  shows(again?: readonly string[]): void {
    if (!this.#begun) return;
    this.#follow(again);
    if (this.#source) this.#carry(again);
  }

  stop(): void {
    this.#left.abort();
    this.#leave();
  }

  probe(): Promise<boolean> {
    if (this.#source) return this.#source.probe();
    if (this.#channel) void this.#check();
    return isThere(this.#host.api, this.#host.fetch, this.#host.over);
  }

  // ---- the election ----

  #begin(): void {
    this.#begun = true;
    this.#name = shareName(this.#kind, this.#host);
    this.#alive();
    if (this.#name === undefined || !hasTabs() || multiplexed(this.#host.api)) {
      this.#hold();
      return;
    }
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data as Note);
    this.#compete(false);
  }

  /** Waits for the lock, or takes it from a holder that does not answer. */
  #compete(steal: boolean): void {
    const waiting = new AbortController();
    this.#waiting?.abort();
    this.#waiting = waiting;
    const held = () =>
      new Promise<void>(release => {
        if (this.#waiting !== waiting) {
          release();
          return;
        }
        this.#release = release;
        this.#hold();
      });
    const how = steal ? { steal } : { signal: waiting.signal };
    navigator.locks.request(this.#name as string, how, held).catch(() => {
      if (this.#waiting !== waiting) return;
      // Taken from us: we seemed to be asleep.
      this.#drop();
      this.#compete(false);
    });
  }

  #hold(): void {
    const host = this.#host;
    const say = (frame: Frame) => this.#gave(frame);
    const sides = this.#sides;
    const source: SourceHost = {
      api: host.api,
      fetch: host.fetch,
      isPage: host.isPage,
      get token() {
        return host.token;
      },
      rooms: this.#carried,
      get asides() {
        return sides.folded;
      },
      get sides() {
        return sides.asked;
      },
      acked: host.acked,
      over: host.over,
      ask: (path, init) => host.ask(path, init),
      say: frame => say(frame as Frame),
      ends: refusal => host.ends(refusal),
      doubt: () => {
        this.#tell({ doubt: true });
        this.#doubt();
      },
      close: (code, reason) => {
        // A cut concerns this one; the next may get through.
        if (code !== 1006 || reason !== '') this.#tell({ close: [code, reason] });
        host.close(code, reason);
      },
      opened: (...stream) => sides.opened(source, ...stream),
      goesBare: refusal => sides.goBare(refusal),
      read: (room, signal, wait) => readOn(source, room, signal, wait),
    };
    this.#source = this.#make(source);
    this.#alive();
    this.#carry();
    this.#tellHolds();
  }

  #drop(): void {
    this.#source?.stop();
    this.#source = undefined;
    this.#carried.clear();
    this.#sides.drop();
  }

  #leave(): void {
    if (!this.#begun) return;
    this.#begun = false;
    this.#tell({ from: this.#id, follows: [] });
    this.#drop();
    clearTimeout(this.#timer);
    this.#channel?.close();
    this.#waiting?.abort();
    this.#channel = this.#waiting = undefined;
    this.#release();
    this.#others.clear();
  }

  // ---- the holder ----

  /** The feed carries what any tab follows, and begins anew where that is more or less than before. Else it gives `again` what is lacked. */
  #carry(again: readonly string[] = []): void {
    const wanted = new Map<string, Place>(this.#host.rooms);
    for (const { follows } of this.#others.values())
      for (const [room, place] of follows) if (!wanted.has(room)) wanted.set(room, place);
    let changed = false;
    for (const room of [...this.#carried.keys()])
      if (!wanted.has(room)) changed = this.#carried.delete(room) || changed;
    for (const [room, place] of wanted) {
      if (this.#carried.has(room) || this.#carried.size >= MAX_ROOMS) continue;
      this.#carried.set(room, place);
      changed = true;
    }
    const asides = [ownAsides(this.#host), ...[...this.#others.values()].map(other => other.asides)];
    if (this.#sides.fold(asides, this.#carried) || changed) {
      this.#source?.changed();
      this.#tellHolds();
    } else if (!this.#sides.say(again) && again.length > 0) this.#source?.changed();
  }

  #gave(given: Frame): void {
    this.#alive();
    const frame = given.op === 'signals' ? this.#sides.named(given) : given;
    if (frame.op === 'ping') this.#beat();
    else this.#tell({ frame });
    if (frame.op === 'reset') {
      // Where the others stood in it counts no more; they say where they are when they have read it.
      for (const other of this.#others.values())
        other.follows = other.follows.filter(([room]) => room !== frame.room);
    }
    this.#take(frame);
  }

  #beat(): void {
    this.#tellHolds();
    for (const [id, other] of this.#others) if (++other.missed > MAX_MISSED) this.#others.delete(id);
    this.#carry();
    this.#compare(this.#carried);
  }

  // ---- every tab ----

  #tell(note: Note): void {
    this.#channel?.postMessage(note);
  }

  #tellHolds(): void {
    this.#tell({ holds: [...this.#carried], told: this.#told });
  }

  #follow(again: readonly string[] = []): void {
    const follows = [...this.#host.rooms];
    this.#tell({ from: this.#id, follows, asides: ownAsides(this.#host), again });
  }

  #hear(note: Note): void {
    if ('follows' in note) {
      const { from, follows, asides = new Map<string, Aside>() } = note;
      if (follows.length + asides.size > 0) this.#others.set(from, { follows, asides, missed: 0 });
      else this.#others.delete(from);
      if (this.#source) this.#carry(note.again);
    } else if ('ask' in note) {
      if (this.#source) this.#tellHolds();
    } else {
      if (!this.#source) this.#alive();
      if ('frame' in note) this.#take(note.frame);
      else if ('doubt' in note) this.#doubt();
      else if ('close' in note) this.#host.close(...note.close);
      else {
        this.#host.say({ op: 'ping' });
        this.#hearTold(note.told ?? this.#told); // a tab of an earlier version says nothing
        this.#follow();
        this.#compare(new Map(note.holds));
      }
    }
  }

  #take(frame: Frame): void {
    if (frame.op === 'ping') this.#host.say(frame);
    else if (frame.op === 'degraded') this.#hearTold(frame);
    else if (frame.op === 'reset' || frame.op === 'error') void this.#read(frame.room);
    else if (frame.op !== 'page') this.#takeSide(frame);
    else if (!offer(this.#host, frame)) void this.#read(frame.room);
  }

  #takeSide(frame: SideFrame): void {
    const { op, room = '' } = frame;
    const { rooms, asides } = this.#host;
    const side = { marked: 'receipts', part: 'parts' }[op as string] ?? op;
    if ((room === '' || rooms.has(room)) && asides.get(room)?.with.includes(side)) this.#host.say(frame);
  }

  /** Says what the server says of itself, where that is another thing than before. */
  #hearTold({ op, parts, node = this.#told.node }: Told): void {
    const told: Told = { op, parts, ...(node !== undefined && { node }) };
    if (JSON.stringify(told) === JSON.stringify(this.#told)) return;
    this.#told = told;
    this.#host.say(told);
  }

  /** What the feed does not carry, or stands before us in, we read. */
  #compare(carried: ReadonlyMap<string, Place>): void {
    for (const [room, { epoch, seq }] of this.#host.rooms) {
      const there = carried.get(room);
      if (!there || there.epoch !== epoch || there.seq > seq) void this.#read(room);
    }
  }

  #doubt(): void {
    for (const room of [...this.#host.rooms.keys()]) void this.#read(room);
  }

  async #read(room: string): Promise<void> {
    const { rooms, over } = this.#host;
    if (!rooms.has(room)) return;
    const isRead = this.#reading.has(room);
    this.#reading.set(room, isRead);
    if (isRead) return;
    while (rooms.has(room)) {
      const read = await readOn(this.#host, room, over);
      if (over.aborted) return;
      if (!read) {
        this.#host.close(1006, '');
        return;
      }
      if (read.pauseMs > 0) await sleep(read.pauseMs, over);
      if (read.more) continue;
      if (!this.#reading.get(room)) break;
      this.#reading.set(room, false);
    }
    this.#reading.delete(room);
    this.#follow();
    if (this.#source) this.#carry();
  }

  // ---- signs of life ----

  #alive(): void {
    this.#heardAt = performance.now();
    if (this.#timer === undefined) this.#watch(this.#silenceMs);
  }

  /** One timer runs at a time; what was heard since it was set is only looked at when it is due. */
  #watch(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const left = this.#heardAt + this.#silenceMs - performance.now();
      this.#watch(left > 0 ? left : this.#silenceMs);
      if (left > 0) return;
      if (!this.#source) void this.#check();
      else if (this.#carried.size > 0) this.#host.close(1006, '');
    }, ms);
  }

  /** Asks the holder whether it is there, and takes its place where it is not. */
  async #check(): Promise<void> {
    const asked = performance.now();
    this.#tell({ ask: true });
    await sleep(ANSWER_MS * (1 + Math.random() / 2), this.#host.over);
    if (this.#channel && !this.#source && this.#heardAt < asked) this.#compete(true);
  }
}

/** A feed of a link, shared with other tabs where that can be and helps; `make` makes what the holder runs. */
export function sharedFeed(
  host: FeedHost,
  kind: string,
  pingMs: number,
  make: (host: SourceHost) => Feed,
): SidesFeed {
  return new SharedFeed(host, kind, pingMs, make);
}
