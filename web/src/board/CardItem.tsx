import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import type { Room, StateMeta } from 'roomlog';
import { useRoom } from 'roomlog/react';
import { hueOf } from '../cursors/who.ts';
import { namesOf } from '../model/people.ts';
import { useNow } from '../pane/hooks.ts';
import { Icon } from '../pane/Icon.tsx';
import { type Card, called, type Field, keyOf, since } from './cards.ts';
import type { useCarry } from './carry.ts';
import type { Loss } from './losses.ts';

/** For how long a change of somebody else is news. */
const newsMs = 60_000;

interface CardItemProps {
  readonly card: Card;
  /** Who has it in hand at the moment. */
  readonly others: readonly string[];
  readonly losses: readonly Loss[];
  readonly carry: ReturnType<typeof useCarry>;
  /** The server's time. */
  readonly clock: () => number;
  readonly onWrite: (field: Field, value: string) => void;
  readonly onDelete: () => void;
  readonly onPutBack: (loss: Loss) => void;
  readonly onDrop: (id: string) => void;
}

/** One card: two fields, each of which the last who writes it has; who is at it; and what was lost. */
export function CardItem({ card, others, losses, carry, clock, ...does }: CardItemProps) {
  const { room } = useRoom();
  const { carried } = carry;
  const isCarried = carried?.id === card.id;
  const handle = useRef<HTMLButtonElement>(null);
  // In another column it is another element: who carries it by keys goes along.
  useEffect(() => {
    if (isCarried && carried?.by === 'keys') handle.current?.focus();
  }, [isCarried, carried?.by]);
  const ring = others.length > 0 ? hueOf(others[0] as string) : undefined;
  return (
    <li
      className="card"
      data-card={card.id}
      data-carried={isCarried ? carried?.by : undefined}
      data-hue={ring}
      data-ring={ring !== undefined}
    >
      {others.length > 0 && (
        <p className="card-ring" dir="auto">
          {namesOf(others, 2)}
          <span className="unseen"> at this card</span>
        </p>
      )}
      <div className="card-head">
        <button
          ref={handle}
          type="button"
          className="card-handle"
          aria-label={`Move ${called(card.title)}`}
          aria-pressed={isCarried}
          onPointerDown={event => carry.onPointerDown(event, card)}
          onKeyDown={event => carry.onKeyDown(event, card)}
        >
          <Grip />
        </button>
        <FieldBox card={card} field="title" onWrite={does.onWrite} />
        <button type="button" className="card-remove" onClick={does.onDelete}>
          <Icon name="remove" />
          <span className="unseen">Delete {called(card.title)}</span>
        </button>
      </div>
      <FieldBox card={card} field="text" onWrite={does.onWrite} />
      <Changes card={card} room={room} clock={clock} />
      {losses.map(loss => (
        <LossNote key={loss.id} loss={loss} onPutBack={does.onPutBack} onDrop={does.onDrop} />
      ))}
    </li>
  );
}

function Grip() {
  return (
    <svg className="card-grip" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {[3.5, 8, 12.5].map(y => (
        <g key={y}>
          <circle cx="5.5" cy={y} r="1.3" />
          <circle cx="10.5" cy={y} r="1.3" />
        </g>
      ))}
    </svg>
  );
}

/** A field that is written when it is left or Enter is pressed; Escape takes back what was typed. */
function FieldBox({
  card,
  field,
  onWrite,
}: {
  readonly card: Card;
  readonly field: 'title' | 'text';
  readonly onWrite: (field: Field, value: string) => void;
}) {
  const [typed, setTyped] = useState<string | null>(null);
  const value = card[field];
  const done = () => {
    if (typed !== null && typed !== value) onWrite(field, typed);
    setTyped(null);
  };
  const shared = {
    className: `card-${field}`,
    dir: 'auto' as const,
    value: typed ?? value,
    maxLength: field === 'title' ? 120 : 2_000,
    onBlur: done,
    onKeyDown: (event: KeyboardEvent<HTMLElement>) => {
      if (event.key === 'Escape') setTyped(null);
      else if (event.key === 'Enter' && (field === 'title' || event.ctrlKey || event.metaKey)) done();
    },
  };
  return field === 'title' ? (
    <input
      {...shared}
      aria-label="Title"
      placeholder="Title"
      onChange={event => setTyped(event.target.value)}
    />
  ) : (
    <textarea
      {...shared}
      aria-label={`Text of ${called(card.title)}`}
      placeholder="Add a text"
      rows={1}
      onChange={event => setTyped(event.target.value)}
    />
  );
}

/** Who changed what lately, and what of one's own waits. It is looked at, not read aloud. */
function Changes({
  card,
  room,
  clock,
}: {
  readonly card: Card;
  readonly room: Room;
  readonly clock: () => number;
}) {
  const metas = (['title', 'text', 'column'] as const).flatMap(field => {
    const meta = (room.state.meta as (key: string) => StateMeta | undefined)(keyOf(card.id, field));
    return meta && !meta.deleted ? [{ field, meta }] : [];
  });
  const isNews = ({ meta }: { meta: StateMeta }) => !meta.own && clock() - meta.at.getTime() < newsMs;
  const news = metas.filter(isNews);
  const waits = metas.some(({ meta }) => meta.pending);
  useNow(news.length > 0, 1_000); // renders each second, until it is no news any more
  const late = useLateWait(waits);
  if (news.length === 0 && !late) return null;
  return (
    <ul className="card-changes">
      {news.map(({ field, meta }) => (
        <li key={field} data-hue={hueOf(meta.author)} data-field={field}>
          <i className="card-dot" aria-hidden="true" />
          {field === 'column' ? 'placed' : `${field} changed`} by <b dir="auto">{meta.author}</b>,{' '}
          {since(meta.at, clock())}
        </li>
      ))}
      {late && <li className="card-waits">not sent yet</li>}
    </ul>
  );
}

/** Whether something has waited for so long that it is worth a word. */
function useLateWait(waits: boolean): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (!waits) {
      setLate(false);
      return;
    }
    const timer = setTimeout(() => setLate(true), 700);
    return () => clearTimeout(timer);
  }, [waits]);
  return late;
}

/** What of one's own does not stand, and the way to put it back. */
export function LossNote({
  loss,
  onPutBack,
  onDrop,
}: {
  readonly loss: Loss;
  readonly onPutBack: (loss: Loss) => void;
  readonly onDrop: (id: string) => void;
}) {
  const words = useId();
  return (
    <div className="loss">
      <p id={words}>{loss.words}</p>
      <button type="button" className="loss-back" aria-describedby={words} onClick={() => onPutBack(loss)}>
        Put mine back
      </button>
      <button type="button" className="loss-close" onClick={() => onDrop(loss.id)}>
        <Icon name="close" />
        <span className="unseen">Let it be</span>
      </button>
    </div>
  );
}
