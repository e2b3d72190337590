import type { StateEntry, WireEvent } from '../protocol/frames.js';
import type { TestRefusal } from './refusal.js';

const KEYS = 64;
const KEY_BYTES = 128;
const DEPTH = 32;
const MAP_KEYS = 1_000;
const MAP_BYTES = 512 * 1024;

type Entries = Map<string, StateEntry>;

const bytesOf = (v: unknown) =>
  new TextEncoder().encode(typeof v === 'string' ? v : JSON.stringify(v)).length;
const depthOf = (v: unknown): number =>
  typeof v === 'object' && v !== null ? 1 + Math.max(0, ...Object.values(v).map(depthOf)) : 0;
/** Whether a key has control characters, or what stands for what was no text. */
const isOdd = (key: string) => /[\p{Cc}\ufffd]/u.test(key);

/** The map of one room (STATE): the latest entry of each key, deleted ones too. */
export class TestState {
  readonly entries: Entries = new Map();
  /** Whether anything was ever set. */
  get isUsed(): boolean {
    return this.forgotten > 0 || this.entries.size > 0;
  }
  /** What was deleted up to this seq is not remembered: who stands below it is given the whole map (STATE-10). */
  forgotten = 0;

  /** An event was stored. */
  take({ type, data, seq, author, at }: WireEvent): void {
    if (type !== 'state') return;
    for (const [key, value] of Object.entries(data as object))
      this.entries.set(key, { ...(value === null ? { deleted: true } : { value }), seq, author, at });
  }

  /** Forgets what was deleted. */
  forget(head: number): void {
    for (const [key, { deleted }] of this.entries) if (deleted) this.entries.delete(key);
    this.forgotten = head;
  }

  /** The values of all keys, as a page has them (STATE-8); nothing where there never were any. */
  whole(): { full?: true; state?: Record<string, StateEntry> } {
    const values = [...this.entries].filter(([, { deleted }]) => !deleted);
    if (!this.isUsed) return {};
    return { full: true, ...(values.length > 0 && { state: Object.fromEntries(values) }) };
  }

  /** The keys that were last set in `(prev, seq]`. */
  between(prev: number, seq: number): Record<string, StateEntry> {
    return Object.fromEntries([...this.entries].filter(([, entry]) => entry.seq > prev && entry.seq <= seq));
  }

  /** Why data may not be set, whatever the map (STATE-1, STATE-3). */
  static unfit(type: string, data: unknown, ifSeq: unknown): TestRefusal | undefined {
    const isSeq = Number.isSafeInteger(ifSeq) && (ifSeq as number) >= 0;
    if (ifSeq !== undefined && !(isSeq && type === 'state')) return { code: 'bad_request', field: 'if_seq' };
    if (type !== 'state') return undefined;
    if (typeof data !== 'object' || data === null || Array.isArray(data))
      return { code: 'bad_data', field: 'data' };
    const all = Object.entries(data);
    if (all.length < 1 || all.length > KEYS) return { code: 'bad_data', field: 'data', limit: KEYS };
    const bad = all.find(
      ([key, value]) => key === '' || bytesOf(key) > KEY_BYTES || isOdd(key) || depthOf(value) > DEPTH,
    );
    return bad && { code: 'bad_data', field: isOdd(bad[0]) ? 'data' : `data/${bad[0]}` };
  }

  /** Why it may not be set as the map is (STATE-3, STATE-6). */
  refuses(data: object, ifSeq: number | undefined): TestRefusal | undefined {
    if (ifSeq !== undefined) {
      const inTheWay = Object.keys(data).flatMap(key => {
        const entry = this.entries.get(key);
        return entry && entry.seq > ifSeq && !(ifSeq === 0 && entry.deleted) ? [[key, entry] as const] : [];
      });
      if (inTheWay.length > 0)
        return { code: 'conflict', field: 'if_seq', current: Object.fromEntries(inTheWay) };
    }
    const size = (entries: Entries) => {
      const values = [...entries].filter(([, { deleted }]) => !deleted);
      const bytes = values.reduce((sum, [key, { value }]) => sum + bytesOf(key) + bytesOf(value), 0);
      return { keys: values.length, bytes };
    };
    const next = new TestState();
    for (const [key, entry] of this.entries) next.entries.set(key, entry);
    next.take({ type: 'state', data, seq: 0, author: '', at: '' } as WireEvent);
    const [before, after] = [size(this.entries), size(next.entries)];
    if (after.keys > Math.max(MAP_KEYS, before.keys))
      return { code: 'limit_exceeded', field: 'keys', limit: MAP_KEYS };
    if (after.bytes > Math.max(MAP_BYTES, before.bytes))
      return { code: 'limit_exceeded', field: 'bytes', limit: MAP_BYTES };
    return undefined;
  }
}
