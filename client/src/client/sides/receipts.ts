import type { Mark, Reach } from '../people.js';
import { Pace } from './pace.js';
import type { PartNeeds } from './part.js';
import { type Fields, isFields, type SideFrame, Snapshot } from './snapshot.js';
import { MAX_UNREAD, seqOf, unreadOf } from './unread.js';

/** How often marks are sent at most. */
const MARK_MS = 500;
/** Reads a value of the side (RCPT). */
function readMark({ user, delivered, read }: Fields): [string, Mark] | undefined {
  if (typeof user !== 'string') return undefined;
  return [user, { user, delivered: seqOf(delivered), read: seqOf(read) }];
}

/** Who has read what, and up to where we have. */
export class ReceiptsPart {
  readonly #needs: PartNeeds;
  readonly #marks = new Snapshot(readMark);
  readonly #pace = new Pace(MARK_MS, () => this.#say(), false);
  #joined = false;
  /** What the server knows of us, and what it was told on this connection. */
  #known = { delivered: 0, read: 0 };
  #told = this.#known;
  #read = 0;
  /** The mark that is kept: it is to be forgotten when the server has it. */
  #kept = 0;
  /** What the server last counted: that much lay behind its `read`, from `first` on, when it stood at `at`. */
  #counted: { unread: number; first: number; at: number } | undefined;

  constructor(needs: PartNeeds) {
    this.#needs = needs;
    needs.room.messages.list.subscribe(() => this.#count());
    needs.room.status.subscribe(() => this.#came());
    // What was read of another numbering says nothing of this one.
    needs.room.on('reset', ({ reason }) => {
      if (reason === 'pruned' || reason === 'too_far') return;
      this.#forget(Number.MAX_SAFE_INTEGER);
      this.clear();
    });
    void this.#recall();
  }

  /** The server has a mark: it is kept no more. */
  #forget(read: number): void {
    if (!this.#kept || read < this.#kept) return;
    this.#kept = 0;
    void this.#needs.keeper.tell(kept => kept.marks?.delete(this.#needs.room.id, read));
  }

  /** What was read before, in a tab that was closed before it could say so. */
  async #recall(): Promise<void> {
    const { keeper, room, session } = this.#needs;
    const { user } = session;
    const marks = await keeper.tell(kept => kept.marks?.all());
    const read = marks?.get(room.id) ?? 0;
    if (user !== session.user || !read) return;
    this.#kept = Math.max(this.#kept, read);
    this.#read = Math.max(this.#read, read);
    this.#came();
    this.#count();
  }

  markRead(upTo = Number.POSITIVE_INFINITY): void {
    const read = Math.min(upTo, this.#seq);
    if (!(read > this.#read)) return;
    this.#read = this.#kept = read;
    void this.#needs.keeper.tell(kept => kept.marks?.put(this.#needs.room.id, read));
    this.#pace.due();
    this.#count();
  }

  /** The server says where we are (RCPT-4); what it is to know besides it is told. */
  joined(): void {
    this.#joined = true;
    this.#came();
  }

  down(): void {
    this.#joined = false;
    this.#pace.stop();
    this.#marks.down();
    this.#told = this.#known;
  }

  clear(): void {
    this.#marks.clear();
    this.#known = this.#told = { delivered: 0, read: 0 };
    this.#read = this.#kept = 0;
    this.#counted = undefined;
    this.#show({});
    this.#count();
    void this.#recall();
  }

  readers(seq: number): readonly string[] {
    const { users } = this.#needs.sides.receipts.marks.get();
    return users.filter(({ read }) => read >= seq).map(({ user }) => user);
  }

  reached(seq: number): 'sent' | 'delivered' | 'read' {
    const { delivered, read } = this.#needs.sides.receipts.marks.get();
    return read.any >= seq ? 'read' : delivered.any >= seq ? 'delivered' : 'sent';
  }

  frame(frame: SideFrame): void {
    if (frame.op === 'marked') {
      this.#marked(frame);
      return;
    }
    if (!this.#marks.take(frame, () => this.#needs.say('sync', { side: 'receipts' }))) return;
    const ours = this.#marks.values.get(this.#needs.session.user ?? '');
    if (ours && ours.read > this.#read) this.#read = ours.read; // on another device
    this.#show(frame);
    this.#count();
  }

  get #seq(): number {
    return this.#needs.room.status.get().seq;
  }

  #came(): void {
    const { delivered, read } = this.#told;
    if (this.#joined && (this.#seq > delivered || this.#read > read)) this.#pace.due();
  }

  #say(): void {
    if (!this.#joined) return;
    const delivered = this.#seq;
    this.#told = { delivered, read: this.#read };
    // What is 0 is no mark.
    this.#needs.say('read', { delivered: delivered || undefined, read: this.#read || undefined });
  }

  #marked(frame: SideFrame): void {
    this.#read = Math.max(this.#read, seqOf(frame.read));
    this.#known = { delivered: seqOf(frame.delivered), read: seqOf(frame.read) };
    this.#forget(this.#known.read);
    const at = seqOf(frame.head) || this.#known.delivered;
    const unread = unreadOf(frame.unread, frame.more);
    this.#counted = { unread, first: seqOf(frame.first_unread) || at + 1, at };
    this.#count();
  }

  /** Where the window reaches back to what was read last it is counted here, at once; else it goes by what the server counted. */
  #count(): void {
    const { receipts } = this.#needs.sides;
    receipts.lastRead.set(this.#read);
    const counted = this.#counted;
    if (!counted) {
      receipts.unread.set(0);
      receipts.firstUnread.set(null);
      return;
    }
    const { list, older } = this.#needs.room.messages;
    const rows = list.get().filter(({ seq, deleted }) => seq !== null && !deleted);
    const theirs = (after: number) => rows.filter(({ seq, own }) => !own && (seq as number) > after);
    const reaches = !older.get().hasMore || (rows[0]?.seq ?? Number.POSITIVE_INFINITY) <= this.#read + 1;
    // What the server did not count up to where it stood is not unread, such as what is older than counting.
    const seen = theirs(reaches ? Math.max(this.#read, counted.first - 1) : counted.at);
    const unread = reaches ? seen.length : counted.unread + seen.length;
    receipts.unread.set(Math.min(unread, MAX_UNREAD + 1));
    const first = !reaches && counted.unread > 0 ? counted.first : seen[0]?.seq;
    receipts.firstUnread.set(first ?? null);
  }

  #show(frame: Fields): void {
    const user = this.#needs.session.user;
    const counts = frame.counts === true;
    const users = counts ? [] : [...this.#marks.values.values()].filter(mark => mark.user !== user);
    const reach = (of: 'delivered' | 'read'): Reach => {
      const told = frame[of];
      if (counts && isFields(told)) return { any: seqOf(told.any), all: seqOf(told.all) };
      const seqs = users.map(mark => mark[of]);
      return { any: Math.max(0, ...seqs), all: seqs.length > 0 ? Math.min(...seqs) : 0 };
    };
    this.#needs.sides.receipts.marks.set({ users, delivered: reach('delivered'), read: reach('read') });
  }
}
