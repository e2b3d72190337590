import { useEffect, useMemo, useState } from 'react';
import type { HistoryView, HistoryViewState, Message, RoomlogError } from 'roomlog';
import { useMessages, useRoom } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { Value } from '../model/value.ts';
import { useReadable } from '../pane/hooks.ts';
import type { Place } from './place.ts';

/** The part of a room that is shown: the newest, or that around a linked message, which grows until it meets the newest. */
export interface Stretch {
  readonly messages: readonly Message<Body>[];
  readonly hasOlder: boolean;
  /** It is that around a linked message. */
  readonly isHistory: boolean;
  /** New messages come at its end. */
  readonly isLive: boolean;
  readonly isPending: boolean;
  /** Why the server does not let this user into the room: what is written here would be refused. */
  readonly denied: RoomlogError | undefined;
  readonly error: RoomlogError | undefined;
  /** The linked message could not be loaded, as `error` says, or without one is older than what is kept. */
  readonly isLinkBroken: boolean;
  readonly loadOlder: () => void;
  readonly loadNewer: () => void;
}

const noMessages = new Value<readonly Message<Body>[]>([]);
const noState = new Value<HistoryViewState | null>(null);

/** Only a reader who walks this far loses the other end, and can walk back to it. */
const mostHeld = 5_000;

/** Shows the room's newest messages, or those around the linked one where it is not among them. */
export function useStretch(jump: Place['jump']): Stretch {
  const { status } = useRoom<Body>();
  const live = useMessages<Body>();
  const { view, opening, isGone, error } = useView(jump);
  const past = useReadable(view?.list ?? noMessages);
  const state = useReadable(view?.state ?? noState);
  const isLive = !state || state.meetsLive;
  const messages = useMemo(() => {
    if (!state) return live.messages;
    const from = live.messages.find(m => m.seq !== null)?.seq ?? Number.POSITIVE_INFINITY;
    return isLive ? [...past.filter(m => (m.seq ?? 0) < from), ...live.messages] : past;
  }, [state, isLive, past, live.messages]);
  return {
    messages,
    hasOlder: state ? state.hasOlder : live.hasOlder,
    isHistory: state !== null,
    isLive,
    isPending: live.isPending || opening,
    denied: status.error,
    error: status.error ?? error,
    isLinkBroken: (error !== undefined || isGone) && status.error === undefined,
    loadOlder: () => (view ? void view.loadOlder().catch(() => {}) : live.loadOlder()),
    loadNewer: () => void view?.loadNewer().catch(() => {}), // it is tried again at the next scroll
  };
}

/** The view of history that a link needs; none while the message is among the newest. */
function useView(jump: Place['jump']): {
  view: HistoryView<Body> | null;
  opening: boolean;
  isGone: boolean;
  error: RoomlogError | undefined;
} {
  const { room, status } = useRoom<Body>();
  const [opened, setOpened] = useState<{
    jump: Place['jump'];
    view: HistoryView<Body> | null;
    error?: RoomlogError;
  }>({ jump: null, view: null });
  const { loaded } = status;
  useEffect(() => {
    if (!jump || !loaded) return;
    const first = room.messages.list.get().find(m => m.seq !== null)?.seq;
    if (first !== undefined && first !== null && jump.seq >= first) {
      setOpened({ jump, view: null });
      return;
    }
    let wanted = true;
    room.messages.view({ around: jump.seq, limit: 100, max: mostHeld }).then(
      view => wanted && setOpened({ jump, view }),
      (error: RoomlogError) => wanted && setOpened({ jump, view: null, error }),
    );
    return () => {
      wanted = false;
    };
  }, [room, loaded, jump]);
  if (!jump) return { view: null, opening: false, isGone: false, error: undefined };
  if (opened.jump !== jump) return { view: null, opening: true, isGone: false, error: undefined };
  const { view, error } = opened;
  return { view, opening: false, isGone: view !== null && isBefore(view, jump.seq), error };
}

/** Whether a seq is older than everything that is kept. */
function isBefore({ list, state }: HistoryView<Body>, seq: number): boolean {
  const first = list.get()[0]?.seq ?? Number.POSITIVE_INFINITY;
  return !state.get().hasOlder && seq < first;
}
