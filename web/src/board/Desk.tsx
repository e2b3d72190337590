import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { Member, Undone } from 'roomlog';
import { useMyPresence, useOthers, useRoom, useRoomState } from 'roomlog/react';
import type { ServerClock } from '../model/when.ts';
import { Alone } from '../pane/Alone.tsx';
import { ConnectionLine } from '../pane/ConnectionLine.tsx';
import { Faces } from '../pane/Faces.tsx';
import { useLate } from '../pane/hooks.ts';
import { CardItem, LossNote } from './CardItem.tsx';
import {
  type Card,
  called,
  cardsOf,
  columns,
  gone,
  keyOf,
  made,
  moved,
  partsOf,
  samples,
  type Values,
} from './cards.ts';
import { useCarry, whileCarried } from './carry.ts';
import { useLosses } from './losses.ts';
import { rankBetween } from './rank.ts';

/** What others see of somebody: the card that they are at. */
interface Here {
  readonly card?: string | null;
}

/** For how long a board that has come may be without cards before that is said: they are read by code that is loaded when there are some. */
const bareMs = 300;

/** The board: its columns, what one can do with them, and who else is at it. */
export function Desk({ clock }: { readonly clock: ServerClock }) {
  const { room, status } = useRoom();
  const values = useRoomState<Values>();
  const cards = useMemo(() => cardsOf(values), [values]);
  const [said, setSaid] = useState('');
  const { losses, drop, putBack } = useLosses(useLastSeen(cards));
  useEffect(() => {
    const newest = losses.at(-1);
    if (newest) setSaid(newest.words);
  }, [losses]);
  const set = (patch: Record<string, string | null>, options?: { ifSeq: number }) => {
    room.state.set(patch as never, options);
  };
  const isBare = useLate(status.loaded && [...cards.values()].every(list => list.length === 0), bareMs);
  const carry = useCarry(
    cards,
    (id, column, index) => {
      const list = cards.get(column) ?? [];
      if (list[index]?.id !== id)
        set(
          moved(
            id,
            column,
            list.filter(card => card.id !== id),
            index,
          ),
        );
    },
    setSaid,
  );
  const at = useSelections();
  const shown = whileCarried(cards, carry.carried);
  const isThere = (id: string) => [...cards.values()].flat().some(card => card.id === id);
  const remove = (card: Card) => {
    set(gone(card.id));
    setSaid(`Deleted ${called(card.title)}. Undo brings it back.`);
    focusBeside(card, cards.get(card.column) ?? []);
  };
  const begin = () => {
    set(samples(), { ifSeq: 0 });
    setSaid('Added three sample cards. Undo takes them away.');
    focusOnAdd(columns[0].id);
  };
  return (
    <main className="board" data-carrying={carry.carried?.by}>
      <header className="board-head">
        <h1>Board</h1>
        <ConnectionLine speaks />
        <Faces where="At the board" />
        <Undo
          say={setSaid}
          titleOf={id => [...cards.values()].flat().find(card => card.id === id)?.title ?? ''}
        />
      </header>
      <p className="unseen" role="status">
        {said}
      </p>
      <div className="board-losses">
        {losses
          .filter(({ card }) => !isThere(card))
          .map(loss => (
            <LossNote key={loss.id} loss={loss} onPutBack={putBack} onDrop={drop} />
          ))}
      </div>
      <div className="columns">
        {columns.map(({ id: column, name }) => (
          <section key={column} className="column" aria-labelledby={`column-${column}`}>
            <h2 id={`column-${column}`}>
              {name} <span className="column-count">{cards.get(column)?.length}</span>
            </h2>
            {column === columns[0].id && isBare && <First onAdd={begin} />}
            <ul className="cards" data-column={column}>
              {(shown.get(column) ?? []).map(card => (
                <CardItem
                  key={card.id}
                  card={card}
                  others={at.get(card.id) ?? []}
                  losses={losses.filter(loss => loss.card === card.id)}
                  carry={carry}
                  clock={() => clock.now()}
                  onWrite={(field, value) =>
                    set({ [keyOf(card.id, field)]: value || (field === 'text' ? null : '') })
                  }
                  onDelete={() => remove(card)}
                  onPutBack={putBack}
                  onDrop={drop}
                />
              ))}
            </ul>
            <AddCard column={column} name={name} last={cards.get(column)?.at(-1)} onAdd={set} />
          </section>
        ))}
      </div>
      <Alone>and change the same card in both.</Alone>
      {carry.carried?.by === 'pointer' && (
        <p className="carried" aria-hidden="true" ref={follow(carry.carried.x, carry.carried.y)}>
          {carry.carried.title || 'Card'}
        </p>
      )}
    </main>
  );
}

/** Where a card is deleted the focus goes to the next one, or to where one is added. */
function focusBeside(card: Card, list: readonly Card[]): void {
  const at = list.findIndex(({ id }) => id === card.id);
  const next = list[at + 1] ?? list[at - 1];
  if (next) focusOn(`[data-card="${CSS.escape(next.id)}"] .card-handle`);
  else focusOnAdd(card.column);
}

const focusOnAdd = (column: string) => focusOn(`[aria-labelledby="column-${column}"] .add input`);

/** Gives the focus to what is in place when the screen is drawn next. */
function focusOn(place: string): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>(place)?.focus());
}

/** Puts something beside the pointer. Styles in the markup are not allowed here (the policy), those of scripts are. */
const follow = (x: number, y: number) => (element: HTMLElement | null) => {
  if (element) element.style.transform = `translate(${x + 12}px, ${y + 8}px)`;
};

/** A card as it was last seen, also one that is no more. */
function useLastSeen(cards: ReadonlyMap<string, readonly Card[]>) {
  const seen = useRef(new Map<string, Card>());
  for (const card of [...cards.values()].flat()) seen.current.set(card.id, card);
  return useCallback((id: string) => seen.current.get(id), []);
}

/** Shows others at which card one is, and gives who is at which. */
function useSelections(): ReadonlyMap<string, readonly string[]> {
  const [, setHere] = useMyPresence<Here>();
  useEffect(() => {
    const look = () => {
      const card = document.activeElement?.closest<HTMLElement>('[data-card]')?.dataset.card ?? null;
      setHere({ card });
    };
    look();
    const later = () => setTimeout(look); // between two elements nothing has the focus
    document.addEventListener('focusin', look);
    document.addEventListener('focusout', later);
    return () => {
      document.removeEventListener('focusin', look);
      document.removeEventListener('focusout', later);
    };
  }, [setHere]);
  const others = useOthers((members: readonly Member<Here>[]) => members);
  return useMemo(() => {
    const at = new Map<string, string[]>();
    for (const { user, data, idle } of others)
      if (typeof data.card === 'string' && !idle) at.set(data.card, [...(at.get(data.card) ?? []), user]);
    return at;
  }, [others]);
}

/** Says what an undo did, or why it did not. */
function undoneWords(verb: string, { keys, skipped }: Undone, titleOf: (id: string) => string): string {
  const left = skipped.map(({ by }) => by)[0];
  const [key] = keys;
  const parts = key === undefined ? null : partsOf(key);
  const words = parts ? `${verb}: ${called(titleOf(parts.id))}.` : '';
  return left === undefined
    ? words
    : `${words} ${left} has changed ${words ? 'part of it' : 'this'} since: that was left as it is.`.trim();
}

/** Takes back and brings back one's own. */
function Undo({
  say,
  titleOf,
}: {
  readonly say: (words: string) => void;
  readonly titleOf: (id: string) => string;
}) {
  const { room } = useRoom();
  useRoomState(); // what can be undone changes with it
  const { undo = false, redo = false } = room.state.undoable ?? {};
  const act = useCallback(
    async (way: 'undo' | 'redo') => {
      const done = await room.state[way]();
      if (done) say(undoneWords(way === 'undo' ? 'Undone' : 'Done again', done, titleOf));
    },
    [room, say, titleOf],
  );
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
      const key = event.key.toLowerCase();
      const way = key === 'y' || (key === 'z' && event.shiftKey) ? 'redo' : key === 'z' ? 'undo' : null;
      // Who types takes back letters first.
      if (!way || (event.target instanceof HTMLElement && event.target.matches('input, textarea'))) return;
      event.preventDefault();
      void act(way);
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  }, [act]);
  return (
    <div className="undo">
      <button
        type="button"
        aria-disabled={!undo}
        onClick={() => undo && void act('undo')}
        aria-keyshortcuts="Control+Z"
      >
        Undo<span className="undo-more"> mine</span>
      </button>
      <button
        type="button"
        aria-disabled={!redo}
        onClick={() => redo && void act('redo')}
        aria-keyshortcuts="Control+Shift+Z"
      >
        Redo
      </button>
    </div>
  );
}

/** What stands in the first column of a board without cards. */
function First({ onAdd }: { readonly onAdd: () => void }) {
  return (
    <div className="first">
      <p>No cards yet. Write the first one here, or begin with some that say what to try.</p>
      <button type="button" onClick={onAdd}>
        Add three sample cards
      </button>
    </div>
  );
}

/** Adds a card at the end of a column. */
function AddCard({
  column,
  name,
  last,
  onAdd,
}: {
  readonly column: string;
  readonly name: string;
  readonly last: Card | undefined;
  readonly onAdd: (patch: Record<string, string>) => void;
}) {
  const [title, setTitle] = useState('');
  return (
    <form
      className="add"
      onSubmit={event => {
        event.preventDefault();
        if (title.trim() === '') return;
        const id = crypto.getRandomValues(new Uint32Array(2)).reduce((all, n) => all + n.toString(36), '');
        onAdd(made({ id, title: title.trim(), text: '', column, rank: rankBetween(last?.rank) }));
        setTitle('');
      }}
    >
      <input
        value={title}
        maxLength={120}
        onChange={event => setTitle(event.target.value)}
        aria-label={`New card in ${name}`}
        placeholder="New card"
      />
      <button type="submit">Add</button>
    </form>
  );
}
