/** A stretch of what a search found. */
export interface Excerpt {
  readonly text: string;
  /** Whether it is a word that was asked for. */
  readonly hit: boolean;
}

/** How much of a text is shown before the first word that was found. */
const before = 40;
/** How much of it is shown in all. */
const most = 240;

/** The part of a text around the words that were asked for, split at them. */
export function excerptOf(text: string, query: string): Excerpt[] {
  const words = query.match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  if (words.length === 0) return [{ text: text.slice(0, most), hit: false }];
  const pattern = new RegExp(`(${words.join('|')})`, 'giu');
  const first = text.search(pattern);
  const from = first > before ? first - before : 0;
  const shown = `${from > 0 ? '…' : ''}${text.slice(from, from + most)}`;
  // Splitting by a group puts what it matched at the odd places.
  return shown
    .split(pattern)
    .map((part, i) => ({ text: part, hit: i % 2 === 1 }))
    .filter(part => part.text !== '');
}
