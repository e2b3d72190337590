import type { Page, StateEntry, WireEvent } from '../../protocol/frames.js';

/** The map of a room as it is stored, by key; deleted keys too, as far as they are known. */
export type Stored = Map<string, StateEntry>;

/** Whether this is an entry: other programs wrote it. */
const isEntry = (entry: StateEntry) =>
  Number.isSafeInteger(Object(entry).seq) && typeof entry.author === 'string' && Date.parse(entry.at) > 0;

/**
 * Lays a page over a map (STATE-7, STATE-8): of two entries of a key the one with the higher seq counts. Calls `each` for every entry that
 * does, before it is in the map, and `landing` for each event of the type `state`, before its entries.
 */
export function fold(
  stored: Stored,
  { full, events, state }: Page,
  each: (key: string, entry: StateEntry) => void = () => {},
  landing: (event: WireEvent) => void = () => {},
): void {
  const put = (key: string, entry: StateEntry) => {
    if (entry.seq <= (stored.get(key)?.seq ?? 0)) return;
    each(key, entry);
    stored.set(key, entry);
  };
  if (full) stored.clear();
  // What a whole map was made of is in it already.
  for (const event of full ? [] : events) {
    const { type, seq, author, at, data } = event;
    const gone = { deleted: true, seq, author, at } as const;
    if (type === 'state') {
      landing(event);
      for (const [key, value] of Object.entries(Object(data)))
        put(key, value === null ? gone : { value, seq, author, at });
    } else if (type === 'erase') {
      // What a user has set goes with an erasure (STATE-15).
      for (const [key, entry] of [...stored])
        if (entry.author === Object(data).user && !entry.deleted) put(key, gone);
    }
  }
  for (const [key, entry] of Object.entries(state ?? {})) if (isEntry(entry)) put(key, entry);
}
