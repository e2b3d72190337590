import { type ReactNode, type RefObject, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { VirtuosoHandle } from 'react-virtuoso';
import type { Message, ResetReason } from 'roomlog';
import { useMessages, useRoom } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { chatRows, isUnread } from '../model/rows.ts';
import { connectionWords, count } from '../model/words.ts';
import type { Remedies } from '../pane/Failure.tsx';
import { useReadable } from '../pane/hooks.ts';
import { Icon } from '../pane/Icon.tsx';
import { LateSign, NodeSign, useSaidOnce } from '../pane/ServerSigns.tsx';
import type { Account } from './account.ts';
import { type Acts, ActsContext } from './acts.ts';
import { Banner, type Link, spokenWords, type Told, useLink } from './Banner.tsx';
import { DeleteDialog } from './DeleteDialog.tsx';
import { Footing } from './footing.ts';
import { Log } from './Log.tsx';
import { type MenuOf, MessageMenu } from './MessageMenu.tsx';
import { leaveJump, type Place } from './place.ts';
import { nameOf } from './RoomList.tsx';
import { Standin } from './Standin.tsx';
import { useChanges } from './useChanges.ts';
import { useNews } from './useNews.ts';
import { useStretch } from './useStretch.ts';
import { useWriting } from './useWriting.ts';
import { Writer } from './Writer.tsx';

interface ConversationProps {
  readonly account: Account;
  readonly place: Place;
  /** What stands before the room's name, where the list of rooms is out of sight. */
  readonly menu: ReactNode;
  /** What stands behind it. */
  readonly tools: ReactNode;
  readonly onForget: () => void;
}

/** One room: its name, its messages and the composer. */
export function Conversation({ account, place, menu, tools, onForget }: ConversationProps) {
  const { room: id, jump } = place;
  const link = useLink();
  const stretch = useStretch(jump);
  const [footing] = useState(() => new Footing());
  const stance = useReadable(footing.stance);
  const isEmpty = stretch.messages.length === 0 && !stretch.isPending;
  const atEnd = stretch.isLive && (stance === 'follows' || isEmpty);
  const news = useNews(account, atEnd, stance === 'opening');
  const [reset, closeReset] = useReset();
  const list = useRef<VirtuosoHandle>(null);
  const field = useField(id);
  const remedies = useRemedies(account, id, field);
  const writing = useWriting(account, field, () => {
    closeReset();
    news.dismiss();
    leaveJump();
    footing.follow();
  });
  const { said, toggle, remove } = useChanges(field);
  const [menuOf, setMenuOf] = useState<MenuOf | null>(null);
  const [asked, setAsked] = useState<Message<Body> | null>(null);
  const isLocked = stretch.denied !== undefined;
  const acts = useMemo<Acts>(
    () => ({ openMenu: (message, button) => setMenuOf({ message, button }), toggle, locked: isLocked }),
    [toggle, isLocked],
  );
  const floorOf = useCallback(() => account.api.floor(id), [account, id]);
  const rows = useMemo(
    () => chatRows(stretch.messages, { hidesFirst: stretch.hasOlder, readUpTo: news.after }),
    [stretch.messages, stretch.hasOlder, news.after],
  );
  const isBelow = stance === 'stays' || !stretch.isLive;
  const below = useBelow(isBelow);
  const toLatest = () => {
    leaveJump();
    footing.follow();
    field.current?.focus({ preventScroll: true });
  };
  const toFirstNew = () => {
    const index = rows.findIndex(row => row.firstUnread);
    if (index >= 0) list.current?.scrollToIndex({ index, align: 'start', offset: -72 });
  };
  return (
    <section className="conversation" aria-labelledby="room">
      <header className="conversation-head">
        {menu}
        <h1 id="room" title={nameOf(id)}>
          {nameOf(id)}
        </h1>
        <Signal link={link} />
        {tools}
      </header>
      <div className="conversation-body">
        <Spoken link={link} said={said} reset={reset} caughtUp={news.caughtUp} below={below} />
        <Banner
          link={link}
          caughtUp={news.caughtUp}
          reset={reset}
          onShow={toFirstNew}
          onClose={reset ? closeReset : news.dismiss}
        />
        {rows.length === 0 || stretch.isLinkBroken || (jump && stretch.isPending) ? (
          <Standin
            link={link}
            pending={stretch.isPending}
            error={stretch.error}
            isLinked={stretch.isLinkBroken}
            onForget={onForget}
            onLatest={leaveJump}
          />
        ) : (
          <ActsContext value={acts}>
            <Log
              rows={rows}
              stretch={stretch}
              place={place}
              footing={footing}
              clock={account.clock}
              aloud={atEnd}
              handle={list}
              floorOf={floorOf}
              {...remedies}
            />
          </ActsContext>
        )}
        {rows.length > 0 && !stretch.isLinkBroken && isBelow && (
          <button type="button" className="talk-new" onClick={toLatest}>
            <Icon name="down" />
            {below > 0 ? count(below, 'new message') : 'To the latest'}
          </button>
        )}
      </div>
      {stretch.denied ? (
        rows.length > 0 && <p className="no-composer">You cannot write here: {stretch.denied.message}</p>
      ) : (
        <Writer
          key={id}
          roomId={id}
          name={account.name}
          field={field}
          writing={writing.writing}
          draft={account.drafts.get()[id] ?? ''}
          onDraft={writing.draft}
          onSend={writing.say}
          onCancel={writing.cancel}
          onEditLast={writing.editLast}
        />
      )}
      <MessageMenu
        of={menuOf}
        onClose={() => setMenuOf(null)}
        onReact={toggle}
        onReply={writing.answer}
        onEdit={writing.edit}
        onDelete={setAsked}
      />
      <DeleteDialog message={asked} onClose={() => setAsked(null)} onDelete={remove} />
    </section>
  );
}

/** The field where one writes. It has the focus in a room that was opened. */
function useField(id: string) {
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    // On a phone the keyboard would cover the room that was just opened.
    if (id && matchMedia('(pointer: fine)').matches) field.current?.focus({ preventScroll: true });
  }, [id]);
  return field;
}

/** What can be done with a message that was refused. */
function useRemedies(account: Account, id: string, field: RefObject<HTMLTextAreaElement | null>): Remedies {
  const { retry, discard } = useMessages<Body>();
  const edit = useCallback(
    (tag: string, text: string) => {
      discard(tag);
      account.keepDraft(id, text);
      if (!field.current) return;
      field.current.value = text;
      field.current.focus();
    },
    [account, id, discard, field],
  );
  return { retry, discard, edit };
}

/** How many messages of others came while the end was out of sight. */
function useBelow(isBelow: boolean): number {
  const { messages } = useMessages<Body>();
  const head = messages.findLast(m => m.seq !== null)?.seq ?? 0;
  const [seen, setSeen] = useState<number | null>(null);
  if ((!isBelow || seen === null) && head > 0 && seen !== head) setSeen(head);
  if (!isBelow || seen === null) return 0;
  return messages.filter(m => isUnread(m, seen)).length;
}

/** Why the history that was shown gave way to the latest page, until it is closed. */
function useReset(): [ResetReason | null, () => void] {
  const { room } = useRoom<Body>();
  const [reason, setReason] = useState<ResetReason | null>(null);
  useEffect(() => room.on('reset', event => setReason(event.reason)), [room]);
  return [reason, () => setReason(null)];
}

/** How the connection is and to which node, in a word that takes the same place in all states. */
function Signal({ link }: { readonly link: Link }) {
  const { tone, text } = connectionWords(link, false, 0);
  const short = { waiting: 'Offline', over: 'Stopped', good: text, quiet: link.late ? 'Reconnecting' : text }[
    tone
  ];
  return (
    <p
      className="signal"
      data-tone={link.late ? 'waiting' : tone}
      data-state={link.state}
      data-late={link.degraded.length > 0}
    >
      <span className="connection-dot" aria-hidden="true" />
      {link.degraded.length > 0 ? <LateSign /> : <span>{short}</span>}
      <NodeSign node={link.node} />
    </p>
  );
}

/** The one polite region. */
function Spoken({ link, said, ...told }: Told & { readonly link: Link; readonly said: string }) {
  const [wasLost, setWasLost] = useState(false);
  if (!wasLost && (link.late || link.state === 'offline')) setWasLost(true);
  return (
    <p className="unseen" role="status">
      {useSaidOnce(link.degraded.length > 0, said || spokenWords(link, { wasLost, ...told }))}
    </p>
  );
}
