import { byRank, rankBetween } from './rank.ts';

/** The columns, from left to right. */
export const columns = [
  { id: 'todo', name: 'To do' },
  { id: 'doing', name: 'Doing' },
  { id: 'done', name: 'Done' },
] as const;

/** The fields of a card. Each is a key of its own, so that who writes the title does not undo a move. */
export const fields = ['title', 'text', 'column', 'rank'] as const;
export type Field = (typeof fields)[number];

/** One card, as all its fields together make it. */
export interface Card {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  readonly column: string;
  readonly rank: string;
}

/** The state of the room, as far as it is this page's. */
export type Values = Readonly<Record<string, unknown>>;

/** The key of a field of a card. */
export const keyOf = (id: string, field: Field): string => `card/${id}/${field}`;

/** The card and the field that a key is of; null for a key of something else. */
export function partsOf(key: string): { id: string; field: Field } | null {
  const [kind, id, field, more] = key.split('/');
  const known = fields.find(each => each === field);
  return kind === 'card' && id && known && more === undefined ? { id, field: known } : null;
}

const text = (value: unknown) => (typeof value === 'string' ? value : '');

/** The cards by column, each column in its order. What has no place is no card: it was deleted while somebody wrote on it. */
export function cardsOf(values: Values): Map<string, Card[]> {
  const byColumn = new Map<string, Card[]>(columns.map(({ id }) => [id, []]));
  const ids = new Set(Object.keys(values).flatMap(key => partsOf(key)?.id ?? []));
  for (const id of ids) {
    const of = (field: Field) => text(values[keyOf(id, field)]);
    byColumn
      .get(of('column'))
      ?.push({ id, title: of('title'), text: of('text'), column: of('column'), rank: of('rank') });
  }
  for (const cards of byColumn.values()) cards.sort(byRank);
  return byColumn;
}

/** What is to be set so that a card stands at `index` of a column, among the cards that are there without it. */
export function moved(id: string, column: string, others: readonly Card[], index: number) {
  const rank = rankBetween(others[index - 1]?.rank, others[index]?.rank);
  return { [keyOf(id, 'column')]: column, [keyOf(id, 'rank')]: rank };
}

/** What is to be set so that there is a card. */
export function made({ id, title, text, column, rank }: Card): Record<string, string> {
  return {
    [keyOf(id, 'title')]: title,
    ...(text && { [keyOf(id, 'text')]: text }),
    [keyOf(id, 'column')]: column,
    [keyOf(id, 'rank')]: rank,
  };
}

const sampleCards = [
  ['todo', 'Move me', 'Drag me to “Doing”, or press Space on the dots and then the arrow keys.'],
  ['doing', 'Rename me', 'In two windows at once: who loses is told, and can put it back.'],
  ['done', 'Delete me', '“Undo” brings me back.'],
] as const;

/** What is to be set for the cards that a board may begin with. The same for everybody: however many do so at once, they are there once. */
export function samples(): Record<string, string> {
  const patches = sampleCards.map(([column, title, text]) =>
    made({ id: `sample-${column}`, title, text, column, rank: rankBetween() }),
  );
  return Object.assign({}, ...patches);
}

/** What is to be set so that a card is gone. */
export const gone = (id: string): Record<string, null> =>
  Object.fromEntries(fields.map(field => [keyOf(id, field), null]));

/** How a card is called in a sentence. */
export const called = (title: string): string =>
  title.trim() ? `“${title.trim()}”` : 'the card without a title';

/** What is shown of a field in a sentence. */
export function fieldWords(field: Field): string {
  return { title: 'title', text: 'text', column: 'place', rank: 'place' }[field];
}

/** How long ago: "just now", "2 s ago", "3 min ago". Never in the future. */
export function since(at: Date, now: number): string {
  const seconds = Math.floor((now - at.getTime()) / 1_000);
  if (seconds < 1) return 'just now';
  return seconds < 60 ? `${seconds} s ago` : `${Math.floor(seconds / 60)} min ago`;
}
