// Where a card stands in its column is a text, compared letter by letter: between any two there is room for another, so
// that to move one card is to write one card.

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A rank behind `low` and before `high`; without one of them, behind everything or before it. It never ends with the lowest digit. */
export function rankBetween(low = '', high?: string): string {
  let top = high !== undefined && high > low ? high : undefined;
  let rank = '';
  for (let i = 0; ; i++) {
    if (top !== undefined && i >= top.length) top = undefined;
    const below = Math.max(0, digits.indexOf(low[i] ?? '0'));
    const above = top === undefined ? digits.length : digits.indexOf(top[i] ?? '');
    if (above - below > 1) return rank + digits[(below + above) >> 1];
    rank += digits[below];
    if (above > below) top = undefined; // whatever follows is before it
  }
}

/** Sorts by rank; where two have the same, as two people may have chosen, by id, which is the same on every screen. */
export function byRank(a: { rank: string; id: string }, b: { rank: string; id: string }): number {
  if (a.rank !== b.rank) return a.rank < b.rank ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
