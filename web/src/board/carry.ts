import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from 'react';
import { type Card, called, columns } from './cards.ts';

/** A card that is carried, and where it would stand if it were put down now. */
export interface Carried {
  readonly id: string;
  readonly title: string;
  readonly by: 'pointer' | 'keys';
  readonly column: string;
  readonly index: number;
  /** Where the pointer is, in the window. */
  readonly x: number;
  readonly y: number;
}

type Cards = ReadonlyMap<string, readonly Card[]>;

/** How near to the edge of the window a pointer scrolls the page, and by how much each frame, in pixels. */
const edgePx = 56;
const scrollPx = 9;
/** How far a pointer moves before it carries: less is a click. */
const slackPx = 5;

const without = (cards: readonly Card[], id: string) => cards.filter(card => card.id !== id);

/** The cards as they stand while one of them is carried. */
export function whileCarried(cards: Cards, carried: Carried | null): Map<string, readonly Card[]> {
  const shown = new Map<string, readonly Card[]>(cards);
  const card = carried && [...cards.values()].flat().find(({ id }) => id === carried.id);
  if (!carried || !card) return shown;
  for (const [column, list] of cards) shown.set(column, without(list, card.id));
  const list = [...(shown.get(carried.column) ?? [])];
  list.splice(carried.index, 0, card);
  shown.set(carried.column, list);
  return shown;
}

const nameOf = (column: string) => columns.find(({ id }) => id === column)?.name ?? column;
const placeWords = ({ column, index }: Carried, cards: Cards) =>
  `${nameOf(column)}, ${index + 1} of ${without(cards.get(column) ?? [], '').length}`;

/** Where a pointer would put a card down. */
function placeAt(x: number, y: number, id: string): { column: string; index: number } | null {
  const lists = [...document.querySelectorAll<HTMLElement>('[data-column]')];
  const distance = (box: DOMRect) =>
    Math.max(box.left - x, 0, x - box.right) + Math.max(box.top - y, 0, y - box.bottom);
  const [nearest] = lists
    .map(list => ({ list, away: distance(list.getBoundingClientRect()) }))
    .sort((a, b) => a.away - b.away);
  const column = nearest?.list.dataset.column;
  if (!nearest || !column) return null;
  const others = [...nearest.list.querySelectorAll<HTMLElement>('[data-card]')].filter(
    each => each.dataset.card !== id,
  );
  const index = others.filter(each => {
    const { top, height } = each.getBoundingClientRect();
    return top + height / 2 < y;
  }).length;
  return { column, index };
}

/**
 * Carries cards, by pointer or by keys: Space or Enter takes one up and puts it down, arrows move it, Escape lets it be.
 * @param drop puts a card down at `index` of a column
 * @param say reads a sentence aloud
 */
export function useCarry(
  cards: Cards,
  drop: (id: string, column: string, index: number) => void,
  say: (words: string) => void,
) {
  const [carried, setCarried] = useState<Carried | null>(null);
  const now = useRef({ cards, drop, carried });
  now.current = { cards, drop, carried };
  const carry = (next: Carried | null) => {
    now.current.carried = next;
    setCarried(next);
  };
  const end = (put: boolean) => {
    const last = now.current.carried;
    if (!last) return;
    carry(null);
    if (put) now.current.drop(last.id, last.column, last.index);
    say(
      put
        ? `Put down ${called(last.title)} in ${placeWords(last, whileCarried(now.current.cards, last))}.`
        : `${called(last.title)} is where it was.`,
    );
  };
  // Whoever has gone elsewhere with a card in hand lets it be from there, too.
  const letBe = useRef(() => {});
  letBe.current = () => end(false);
  const isInHand = carried?.by === 'keys';
  useEffect(() => {
    if (!isInHand) return;
    const onKey = (event: globalThis.KeyboardEvent) => event.key === 'Escape' && letBe.current();
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [isInHand]);
  const lift = useRef<(() => void) | null>(null);
  useEffect(() => () => lift.current?.(), []);

  const onPointerDown = (event: PointerEvent, card: Card) => {
    if (event.button !== 0 || !event.isPrimary || now.current.carried) return;
    const from = { x: event.clientX, y: event.clientY };
    const over = new AbortController();
    let frame = 0;
    let scroll = 0;
    const look = (x: number, y: number) => {
      const place = placeAt(x, y, card.id);
      if (place) carry({ id: card.id, title: card.title, by: 'pointer', ...place, x, y });
    };
    const onFrame = () => {
      const last = now.current.carried;
      if (scroll !== 0 && last) {
        window.scrollBy(0, scroll);
        look(last.x, last.y);
      }
      frame = requestAnimationFrame(onFrame);
    };
    const stop = () => {
      cancelAnimationFrame(frame);
      over.abort();
      lift.current = null;
    };
    lift.current = stop;
    const options = { signal: over.signal };
    window.addEventListener(
      'pointermove',
      move => {
        const { clientX: x, clientY: y } = move;
        if (!now.current.carried && Math.hypot(x - from.x, y - from.y) < slackPx) return;
        if (!now.current.carried) frame = requestAnimationFrame(onFrame);
        scroll = y < edgePx ? -scrollPx : y > innerHeight - edgePx ? scrollPx : 0;
        look(x, y);
      },
      options,
    );
    const finish = (put: boolean) => {
      stop();
      end(put);
    };
    window.addEventListener('pointerup', () => finish(true), options);
    window.addEventListener('pointercancel', () => finish(false), options);
    window.addEventListener('keydown', key => key.key === 'Escape' && finish(false), options);
  };

  const onKeyDown = (event: KeyboardEvent, card: Card) => {
    const last = now.current.carried;
    const isMine = last?.id === card.id && last.by === 'keys';
    if (event.key === ' ' || event.key === 'Enter') {
      event.preventDefault();
      if (isMine) end(true);
      else if (!last) {
        const index = (now.current.cards.get(card.column) ?? []).findIndex(({ id }) => id === card.id);
        const next = {
          id: card.id,
          title: card.title,
          by: 'keys',
          column: card.column,
          index,
          x: 0,
          y: 0,
        } as const;
        carry(next);
        say(
          `Took up ${called(card.title)}, ${placeWords(next, now.current.cards)}. Arrows move it, Space puts it down, Escape lets it be.`,
        );
      }
    } else if (isMine && event.key === 'Escape') {
      event.preventDefault();
      end(false);
    } else if (isMine && event.key.startsWith('Arrow')) {
      event.preventDefault();
      const next = stepped(last, event.key, now.current.cards);
      carry(next);
      say(`${placeWords(next, whileCarried(now.current.cards, next))}.`);
    }
  };
  return { carried, onPointerDown, onKeyDown };
}

/** A carried card one step further. */
function stepped(carried: Carried, key: string, cards: Cards): Carried {
  const at = columns.findIndex(({ id }) => id === carried.column);
  const aside = key === 'ArrowLeft' ? -1 : key === 'ArrowRight' ? 1 : 0;
  const down = key === 'ArrowUp' ? -1 : key === 'ArrowDown' ? 1 : 0;
  const column = columns[Math.min(Math.max(at + aside, 0), columns.length - 1)]?.id ?? carried.column;
  const most = without(cards.get(column) ?? [], carried.id).length;
  return { ...carried, column, index: Math.min(Math.max(carried.index + down, 0), most) };
}
