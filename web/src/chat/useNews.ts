import { useEffect, useState, useSyncExternalStore } from 'react';
import { useClient, useRoom } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { isUnread } from '../model/rows.ts';
import { useReadable } from '../pane/hooks.ts';
import type { Account } from './account.ts';

/** What came while nobody looked. */
export interface News {
  /** The last seq read before it: what is behind is set apart. */
  readonly after: number | null;
  /** How many others' messages a lost connection had held back, for a while after it is back. */
  readonly caughtUp: number;
  /** Sets nothing apart any more. */
  readonly dismiss: () => void;
}

const noticeMs = 10_000;

/**
 * Keeps the mark of what has been read, and where the news begin.
 * @param atEnd the newest message is in sight
 * @param opening it is not known yet: whoever was at the end before will be there again
 */
export function useNews(account: Account, atEnd: boolean, opening: boolean): News {
  const { room, status } = useRoom<Body>();
  const looking = useLooking();
  const read = useReadable(account.read)[room.id];
  const unread = useReadable(account.unread)[room.id] ?? 0;
  const [after, setAfter] = useState<number | null>(null);
  const { missed, dismissMissed } = useMissed();
  const reading = atEnd && looking;
  const [wasReading, setWasReading] = useState(false);
  if (reading && !wasReading) setWasReading(true);
  const mayRead = opening && wasReading && looking;
  useEffect(() => {
    if (!status.loaded || read === undefined) return;
    if (reading) account.markRead(room.id, status.seq);
    else if (unread > 0 && !mayRead) setAfter(read);
  }, [account, room, status.loaded, status.seq, reading, mayRead, read, unread]);
  useEffect(() => {
    if (missed) setAfter(missed.after);
  }, [missed]);
  useEffect(() => {
    if (!missed) return;
    const showing = setTimeout(dismissMissed, noticeMs);
    return () => clearTimeout(showing);
  }, [missed, dismissMissed]);
  return {
    after,
    caughtUp: missed?.count ?? 0,
    dismiss: () => {
      setAfter(null);
      dismissMissed();
    },
  };
}

interface Missed {
  readonly after: number;
  readonly count: number;
}

/** What others wrote while the connection was lost for longer than a reader is spared of. */
function useMissed(): { missed: Missed | null; dismissMissed: () => void } {
  const client = useClient();
  const { room } = useRoom<Body>();
  const [missed, setMissed] = useState<Missed | null>(null);
  useEffect(() => {
    let from: number | null = null;
    const undo = [
      client.on('lost-connection', what => {
        if (what === 'lost') from = room.status.get().seq;
      }),
      room.on('reset', () => {
        from = null; // what is here now is not all that was missed
      }),
      room.status.subscribe(() => {
        if (from === null || room.status.get().state !== 'live') return;
        const after = from;
        from = null;
        const count = room.messages.list.get().filter(m => isUnread(m, after)).length;
        if (count > 0) setMissed({ after, count });
      }),
    ];
    return () => {
      for (const stop of undo) stop();
    };
  }, [client, room]);
  const [dismissMissed] = useState(() => () => setMissed(null));
  return { missed, dismissMissed };
}

/** Whether the reader has this page before them. */
function useLooking(): boolean {
  return useSyncExternalStore(
    watchLooking,
    () => document.visibilityState === 'visible' && document.hasFocus(),
  );
}

function watchLooking(onChange: () => void): () => void {
  const kinds = ['focus', 'blur', 'pageshow'] as const;
  for (const kind of kinds) addEventListener(kind, onChange);
  document.addEventListener('visibilitychange', onChange);
  return () => {
    for (const kind of kinds) removeEventListener(kind, onChange);
    document.removeEventListener('visibilitychange', onChange);
  };
}
