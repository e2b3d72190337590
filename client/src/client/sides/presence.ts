import type { Device, Member } from '../people.js';
import { Idle } from './idle.js';
import { Pace } from './pace.js';
import type { PartNeeds } from './part.js';
import { type Fields, isFields, type SideFrame, Snapshot, setList } from './snapshot.js';

/** How often one's own data is sent at most. */
const SET_MS = 100;

/** The exclusive or of the FNV-1a hashes (32 bits) of user and time of coming, which tells two lists of members apart (PRES-5). */
export function digestOf(members: Iterable<Known>): string {
  let all = 0;
  for (const { user, came } of members) {
    let hash = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(`${user}\n${came}`))
      hash = Math.imul(hash ^ byte, 0x01000193);
    all ^= hash;
  }
  return (all >>> 0).toString(16).padStart(8, '0');
}

/** A member, and when they came, as the server said it. */
interface Known extends Member<unknown> {
  readonly came: string;
}

/** Reads a value of the side (PRES). */
function readMember({ user, data, idle, since, devices }: Fields): [string, Known] | undefined {
  if (typeof user !== 'string') return undefined;
  const each = (Array.isArray(devices) ? devices : []).filter(isFields);
  return [
    user,
    {
      user,
      data: isFields(data) ? data : {},
      idle: idle === true,
      since: new Date(String(since)),
      came: String(since),
      devices: each.map(({ id, idle }): Device => ({ id: String(id), idle: idle === true })),
    },
  ];
}

/** Who is in a room, and what they see of us. */
export class PresencePart {
  readonly #needs: PartNeeds;
  readonly #members = new Snapshot(readMember);
  readonly #idle = new Idle(() => this.#sayIdle());
  readonly #pace = new Pace(SET_MS, () => this.#say());
  #own: object | undefined;
  /** What was shown of us, but for our data. */
  #mine: Member<unknown> | undefined;
  /** Whether our data is another than the server was told. */
  #unsaid = false;
  #left = false;
  #joined = false;

  constructor(needs: PartNeeds) {
    this.#needs = needs;
  }

  set(patch: object): void {
    this.#own = { ...this.#own, ...patch };
    this.#needs.sides.own = { ...(this.#left && { present: true }), presence: this.#own };
    this.#unsaid = true;
    if (this.#left) {
      this.#left = this.#unsaid = false;
      this.#needs.cursor.again();
    } else this.#pace.due();
    this.#show();
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#needs.sides.own = { present: false };
    this.#needs.cursor.again();
    this.#show();
  }

  joined(): void {
    this.#joined = true;
    this.#idle.start();
    if (this.#unsaid) this.#pace.due();
    if (this.#idle.isIdle) this.#sayIdle();
  }

  down(): void {
    this.#joined = false;
    this.#idle.stop();
    this.#pace.stop();
    this.#members.down();
    const { occupancy } = this.#needs.sides.presence;
    occupancy.update({ ...occupancy.get(), stale: true });
  }

  clear(): void {
    this.#members.clear();
    this.#own = undefined;
    this.#needs.sides.own = this.#left ? { present: false } : {};
    this.#show();
  }

  frame(frame: SideFrame): void {
    if (!this.#members.take(frame, () => this.#sync())) return;
    const { values } = this.#members;
    const { occupancy } = this.#needs.sides.presence;
    const before = occupancy.get();
    // What is not said is as before (PRES-5, PRES-11).
    const isTold = typeof frame.users === 'number';
    const counts = frame.counts === true || (before.counts && !isTold);
    const stale = frame.stale === true || (before.stale && !isTold);
    if (counts) this.#members.forget();
    occupancy.update({
      users: isTold ? (frame.users as number) : before.users,
      connections: typeof frame.connections === 'number' ? frame.connections : before.connections,
      counts,
      stale,
    });
    const isRight = frame.full === true || counts || stale || typeof frame.digest !== 'string';
    if (!isRight && frame.digest !== digestOf(values.values())) this.#members.doubt(() => this.#sync());
    this.#show();
  }

  #sync(): void {
    this.#needs.say('sync', { side: 'presence' });
  }

  #say(): void {
    if (!this.#joined || this.#left) return;
    this.#unsaid = false;
    this.#needs.say('presence', { data: this.#own });
  }

  #sayIdle(): void {
    if (this.#joined && !this.#left) this.#needs.say('presence', { idle: this.#idle.isIdle });
  }

  #show(): void {
    const { session, sides } = this.#needs;
    const { self, others } = sides.presence;
    const user = session.user ?? '';
    const mine = this.#members.values.get(user);
    const unseen = { user, data: {}, idle: false, since: new Date(), devices: [] };
    if (this.#left || !(mine ?? this.#own)) self.set(null);
    else if (!this.#own) self.set(mine as Member<unknown>);
    else if (mine !== this.#mine || self.get()?.data !== this.#own) {
      self.set({ ...(mine ?? unseen), data: this.#own });
    }
    this.#mine = mine;
    setList(
      others,
      [...this.#members.values.values()].filter(member => member.user !== user),
    );
  }
}
