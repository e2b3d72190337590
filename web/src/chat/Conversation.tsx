import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { VirtuosoHandle } from 'react-virtuoso';
import type { ResetReason } from 'roomlog';
import { useMessages, useRoom } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { chatRows } from '../model/rows.ts';
import { connectionWords, count } from '../model/words.ts';
import { Composer } from '../pane/Composer.tsx';
import { Icon } from '../pane/Icon.tsx';
import type { Account } from './account.ts';
import { Banner, type Link, spokenWords, type Told, useLink } from './Banner.tsx';
import { Log } from './Log.tsx';
import { leaveJump, type Place } from './place.ts';
import { nameOf } from './RoomList.tsx';
import { Standin } from './Standin.tsx';
import { useNews } from './useNews.ts';
import { useStretch } from './useStretch.ts';

interface ConversationProps {
  readonly account: Account;
  readonly place: Place;
  /** What stands before the room's name, where the list of rooms is out of sight. */
  readonly menu: ReactNode;
  readonly onForget: () => void;
}

/** One room: its name, its messages and the composer. */
export function Conversation({ account, place, menu, onForget }: ConversationProps) {
  const { room: id, jump } = place;
  const link = useLink();
  const stretch = useStretch(jump);
  const [atEnd, setAtEnd] = useState(false);
  const news = useNews(account, atEnd && stretch.isLive);
  const [reset, closeReset] = useReset();
  const list = useRef<VirtuosoHandle>(null);
  const { field, ...actions } = useActions(account, id, list, () => {
    closeReset();
    news.dismiss();
  });
  const rows = useMemo(
    () => chatRows(stretch.messages, { hidesFirst: stretch.hasOlder, readUpTo: news.after }),
    [stretch.messages, stretch.hasOlder, news.after],
  );
  const below = useBelow(atEnd && stretch.isLive);
  const toLatest = () => {
    if (!stretch.isLive) leaveJump();
    list.current?.scrollToIndex({ index: 'LAST', align: 'end' });
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
        <h1 id="room">{nameOf(id)}</h1>
        <Signal link={link} />
      </header>
      <div className="conversation-body">
        <Spoken link={link} reset={reset} caughtUp={news.caughtUp} below={below} />
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
          <Log
            rows={rows}
            stretch={stretch}
            roomId={id}
            jump={jump}
            clock={account.clock}
            aloud={atEnd && stretch.isLive}
            onAtEnd={setAtEnd}
            handle={list}
            {...actions}
          />
        )}
        {rows.length > 0 && !stretch.isLinkBroken && (!atEnd || !stretch.isLive) && (
          <button type="button" className="talk-new" onClick={toLatest}>
            <Icon name="down" />
            {below > 0 ? count(below, 'new message') : 'To the latest'}
          </button>
        )}
      </div>
      {stretch.denied ? (
        rows.length > 0 && <p className="no-composer">You cannot write here: {stretch.denied.message}</p>
      ) : (
        <Composer
          key={id}
          name={account.name}
          field={field}
          draft={account.drafts.get()[id] ?? ''}
          onDraft={text => account.keepDraft(id, text)}
          onSend={actions.say}
        />
      )}
    </section>
  );
}

/** What can be done with messages, and the field where they are written. */
function useActions(
  account: Account,
  id: string,
  list: React.RefObject<VirtuosoHandle | null>,
  onSaid: () => void,
) {
  const { send, retry, discard } = useMessages<Body>();
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    // On a phone the keyboard would cover the room that was just opened.
    if (id && matchMedia('(pointer: fine)').matches) field.current?.focus({ preventScroll: true });
  }, [id]);
  const edit = useCallback(
    (tag: string, text: string) => {
      discard(tag);
      account.keepDraft(id, text);
      if (!field.current) return;
      field.current.value = text;
      field.current.focus();
    },
    [account, id, discard],
  );
  const say = (text: string) => {
    send({ text }).catch(() => {}); // the row itself says what went wrong
    onSaid();
    leaveJump();
    requestAnimationFrame(() => list.current?.scrollToIndex({ index: 'LAST', align: 'end' }));
  };
  return { field, retry, discard, edit, say };
}

/** How many messages of others came while the end was out of sight. */
function useBelow(atEnd: boolean): number {
  const { messages } = useMessages<Body>();
  const head = messages.findLast(m => m.seq !== null)?.seq ?? 0;
  const [seen, setSeen] = useState<number | null>(null);
  if ((atEnd || seen === null) && head > 0 && seen !== head) setSeen(head);
  if (atEnd || seen === null) return 0;
  return messages.filter(m => !m.own && m.seq !== null && m.seq > seen).length;
}

/** Why the history that was shown gave way to the latest page, until it is closed. */
function useReset(): [ResetReason | null, () => void] {
  const { room } = useRoom<Body>();
  const [reason, setReason] = useState<ResetReason | null>(null);
  useEffect(() => room.on('reset', event => setReason(event.reason)), [room]);
  return [reason, () => setReason(null)];
}

/** How the connection is, in a word that takes the same place in all states. */
function Signal({ link }: { readonly link: Link }) {
  const { tone, text } = connectionWords(link, false, 0);
  const short = { waiting: 'Offline', over: 'Stopped', good: text, quiet: link.late ? 'Reconnecting' : text }[
    tone
  ];
  return (
    <p className="signal" data-tone={link.late ? 'waiting' : tone} data-state={link.state}>
      <span className="connection-dot" aria-hidden="true" />
      <span>{short}</span>
    </p>
  );
}

/** The one polite region. */
function Spoken({ link, ...told }: Told & { readonly link: Link }) {
  const [wasLost, setWasLost] = useState(false);
  if (!wasLost && (link.late || link.state === 'offline')) setWasLost(true);
  return (
    <p className="unseen" role="status">
      {spokenWords(link, { wasLost, ...told })}
    </p>
  );
}
