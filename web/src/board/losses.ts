import { useEffect, useState } from 'react';
import type { LostWrite, StatePatch } from 'roomlog';
import { useRoom } from 'roomlog/react';
import { type Card, called, type Field, fieldWords, made, partsOf } from './cards.ts';

/** Cards are moved on and on: who moves one that was moved longer ago than this has seen it where it was. */
const moveMs = 5_000;

/** What of one's own does not stand, of one card and of what belongs together there. */
export interface Loss {
  readonly id: string;
  /** The card that it is of. */
  readonly card: string;
  readonly field: Field;
  readonly words: string;
  /** What is to be set so that it stands again. */
  readonly mine: StatePatch<Record<string, unknown>>;
}

/** A sentence about what was lost: who won, or why it was refused. */
export function lossWords(lost: LostWrite, field: Field, title: string): string {
  const what = fieldWords(field);
  if (lost.error && lost.error.code !== 'conflict')
    return `Your ${what} was not taken: ${lost.error.message}`;
  const who = lost.by || 'Somebody';
  if (lost.theirs === undefined && field !== 'text')
    return `${who} deleted ${called(title)} after your change.`;
  if (what === 'place') return `${who} moved ${called(title)} after you.`;
  if (typeof lost.theirs !== 'string' || lost.theirs === '')
    return `${who} removed the ${what} after you wrote it.`;
  return `${who} changed the ${what} after you, from “${String(lost.mine ?? '')}”.`;
}

/**
 * What was lost, and the ways to put it back or to let it be.
 * @param last a card as it was last seen here, also one that is no more
 */
export function useLosses(last: (id: string) => Card | undefined) {
  const { room } = useRoom();
  const [losses, setLosses] = useState<readonly Loss[]>([]);
  useEffect(
    () =>
      room.on('lost', lost => {
        const parts = partsOf(lost.key);
        if (!parts || lost.mine === undefined) return; // what one deleted and somebody goes on writing is gone all the same
        if (lost.mine === lost.theirs) return; // both set the same: it stands
        const { id: card, field } = parts;
        const what = fieldWords(field);
        const apart = lost.at.getTime() - (lost.mineAt ?? lost.at).getTime();
        if (what === 'place' && apart > moveMs) return;
        const before = last(card);
        const words = lossWords(lost, field, before?.title ?? '');
        // Who deletes a card takes all of it: so it comes back as a whole.
        const isGone = lost.theirs === undefined && field !== 'text';
        const id = isGone ? card : `${card}/${what}`;
        setLosses(all => {
          const same = all.find(each => each.id === id);
          const mine = { ...(isGone && before && made(before)), ...same?.mine, [lost.key]: lost.mine };
          return [...all.filter(each => each.id !== id), { id, card, field, words, mine }];
        });
      }),
    [room, last],
  );
  const drop = (id: string) => setLosses(all => all.filter(each => each.id !== id));
  const putBack = (loss: Loss) => {
    drop(loss.id);
    room.state.set(loss.mine as never);
  };
  return { losses, drop, putBack };
}
