import type { Broadcast } from '../people.js';
import { Pace } from './pace.js';
import type { PartNeeds } from './part.js';
import { type Fields, isFields, type SideFrame, Snapshot, setList } from './snapshot.js';

/** The type of signals that say that somebody types. */
const TYPING = 'typing';
/** How often others are told at most that one types, and when it is over by itself. */
const TYPING_MS = 2_000;
const TYPED_MS = 6_000;
/** How often the latest of one type and key is sent at most. */
const CAST_MS = 40;

const keyOf = (...parts: string[]): string => parts.join(' ');

/** Reads a value of the side (SIG). */
function readSignal({ user, connection, type, key, data = null }: Fields): [string, Broadcast] | undefined {
  if (typeof user !== 'string' || typeof connection !== 'string' || typeof type !== 'string')
    return undefined;
  const signal = { user, connection, type, key: String(key ?? ''), data };
  return [keyOf(connection, type, signal.key), signal];
}

/** What is shown and not stored: broadcasts, and who is typing. */
export class SignalsPart {
  readonly #needs: PartNeeds;
  readonly #signals = new Snapshot(readSignal);
  /** By type and key: the latest of ours, and when it may be sent. */
  readonly #ours = new Map<string, { type: string; key: string; data: unknown; pace: Pace }>();
  /** By signal: who types. The server ends it 6 s after the last sign of it, and with the connection (SIG-4). */
  readonly #typing = new Map<string, string>();
  #joined = false;
  #saidAt = Number.NEGATIVE_INFINITY;
  #typed: ReturnType<typeof setTimeout> | undefined;

  constructor(needs: PartNeeds) {
    this.#needs = needs;
    needs.room.on('event', ({ type, author }) => {
      if (type !== 'message') return;
      for (const [key, user] of this.#typing) if (user === author) this.#typing.delete(key);
      this.#showTyping();
    });
  }

  // ---- ours ----

  broadcast(type: string, key: string, data: unknown): void {
    const name = keyOf(type, key);
    let ours = this.#ours.get(name);
    if (!ours) {
      const pace = new Pace(CAST_MS, () => this.#say(name));
      ours = { type, key, data, pace };
      this.#ours.set(name, ours);
    }
    ours.data = data;
    ours.pace.due();
  }

  #say(name: string): void {
    const ours = this.#ours.get(name);
    if (!ours) return;
    const { type, key, data } = ours;
    if (data === null) this.#ours.delete(name);
    if (this.#joined) this.#needs.say('signal', { type, key, data });
  }

  keystroke(): void {
    const now = performance.now();
    if (now - this.#saidAt >= TYPING_MS) {
      this.#saidAt = now;
      this.#sayTyping(true);
    }
    clearTimeout(this.#typed);
    this.#typed = setTimeout(() => this.stop(), TYPED_MS);
  }

  stop(): void {
    if (this.#typed === undefined) return;
    clearTimeout(this.#typed);
    this.#typed = undefined;
    this.#saidAt = Number.NEGATIVE_INFINITY;
    this.#sayTyping(null);
  }

  #sayTyping(data: true | null): void {
    if (this.#joined) this.#needs.say('signal', { type: TYPING, key: '', data });
  }

  // ---- of the connection ----

  /** What is still so is said again: another connection is another sender. */
  joined(): void {
    this.#joined = true;
    if (this.#typed !== undefined) this.#sayTyping(true); // the key that had the side asked for, too
    for (const { pace } of this.#ours.values()) pace.due();
  }

  down(): void {
    this.#joined = false;
    for (const { pace } of this.#ours.values()) pace.stop();
    clearTimeout(this.#typed);
    this.#typed = undefined;
    this.#saidAt = Number.NEGATIVE_INFINITY;
    this.#signals.down();
    this.#typing.clear(); // while nothing is heard nobody is known to type
    this.#showTyping();
  }

  clear(): void {
    this.#ours.clear();
    this.#signals.clear();
    this.#show();
  }

  // ---- others' ----

  frame(frame: SideFrame): void {
    const before = new Map(this.#signals.values);
    if (!this.#signals.take(frame, () => this.#needs.say('sync', { side: 'signals' }))) return;
    const { values } = this.#signals;
    for (const [key, signal] of values) if (signal.data === null) values.delete(key);
    for (const [key, signal] of before) {
      if (values.has(key)) continue;
      this.#typing.delete(key);
      this.#give({ ...signal, data: null });
    }
    for (const [key, signal] of values) if (before.get(key) !== signal) this.#give(signal);
    // That somebody still types is said by the same value once more.
    for (const fields of Array.isArray(frame.set) ? frame.set : []) {
      const [key, signal] = (isFields(fields) && readSignal(fields)) || [];
      if (key === undefined || signal?.type !== TYPING || !values.has(key)) continue;
      if (signal.user !== this.#needs.session.user) this.#typing.set(key, signal.user);
    }
    this.#showTyping();
    this.#show();
  }

  #give(signal: Broadcast): void {
    if (signal.type !== TYPING && !this.#isOurs(signal)) this.#needs.events.emit('broadcast', signal);
  }

  #isOurs({ connection }: Broadcast): boolean {
    return connection === this.#needs.session.welcome?.connection;
  }

  #showTyping(): void {
    setList(this.#needs.sides.typing.who, [...new Set(this.#typing.values())]);
  }

  #show(): void {
    const all = [...this.#signals.values.values()];
    setList(
      this.#needs.sides.broadcasts,
      all.filter(signal => signal.type !== TYPING && !this.#isOurs(signal)),
    );
  }
}
