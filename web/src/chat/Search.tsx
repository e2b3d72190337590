import { useEffect, useId, useState } from 'react';
import { excerptOf } from '../model/found.ts';
import { textOf } from '../model/text.ts';
import { ago, fullTime } from '../model/when.ts';
import { count } from '../model/words.ts';
import { Icon } from '../pane/Icon.tsx';
import type { Account } from './account.ts';
import type { Found } from './api.ts';
import { PlaceLink } from './PlaceLink.tsx';
import { goTo } from './place.ts';
import { nameOf } from './RoomList.tsx';
import { useDialog } from './useDialog.ts';

interface SearchProps {
  readonly account: Account;
  readonly roomId: string;
}

/** The button that opens the search. */
export function SearchButton(props: SearchProps) {
  const { dialog, isOpen, open, close, closed } = useDialog();
  return (
    <>
      <button type="button" className="icon-button" onClick={open}>
        <Icon name="search" />
        <span className="unseen">Search</span>
      </button>
      <dialog ref={dialog} className="search" aria-label="Search" closedby="any" onClose={closed}>
        {isOpen && <Search {...props} close={close} />}
      </dialog>
    </>
  );
}

/** Finds messages in the room or in all of one's own; a result is a link to its message. */
function Search({ account, roomId, close }: SearchProps & { readonly close: () => void }) {
  const id = useId();
  const [query, setQuery] = useState('');
  const [everywhere, setEverywhere] = useState(false);
  const { found, words } = useFound(account, query, everywhere ? null : roomId);
  return (
    <>
      <div className="search-head">
        <label className="unseen" htmlFor={id}>
          Search for
        </label>
        <input
          id={id}
          enterKeyHint="search"
          placeholder="Search messages"
          autoComplete="off"
          value={query}
          onChange={event => setQuery(event.target.value)}
        />
        <button type="button" className="icon-button" onClick={close}>
          <Icon name="close" />
          <span className="unseen">Close</span>
        </button>
      </div>
      <fieldset className="search-where">
        <legend className="unseen">Where</legend>
        {[false, true].map(all => (
          <label key={String(all)} className="themes-choice">
            <input type="radio" name={id} checked={all === everywhere} onChange={() => setEverywhere(all)} />
            <span>{all ? 'All my rooms' : nameOf(roomId)}</span>
          </label>
        ))}
      </fieldset>
      <p className="search-words" aria-live="polite">
        {words}
      </p>
      <ul className="search-found">
        {found.map(message => (
          <li key={`${message.room} ${message.seq}`}>
            <Result
              message={message}
              query={query}
              now={account.clock.now()}
              withRoom={everywhere}
              onPick={() => {
                close();
                goTo(message.room, message.seq);
              }}
            />
          </li>
        ))}
      </ul>
    </>
  );
}

interface ResultProps {
  readonly message: Found;
  readonly query: string;
  readonly now: number;
  readonly withRoom: boolean;
  readonly onPick: () => void;
}

function Result({ message, query, now, withRoom, onPick }: ResultProps) {
  const { room, seq, author, data } = message;
  const at = new Date(message.at);
  return (
    <PlaceLink className="result" room={room} seq={seq} onFollow={onPick}>
      <span className="result-head">
        <b dir="auto">{author}</b>
        {withRoom && <span className="result-room">{nameOf(room)}</span>}
        <time dateTime={message.at} title={fullTime(at)}>
          {ago(at, now)}
        </time>
      </span>
      <span className="result-text" dir="auto">
        {excerptOf(textOf(data), query).map(({ text, hit }, i) =>
          // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text have no other name
          hit ? <mark key={i}>{text}</mark> : <span key={i}>{text}</span>,
        )}
      </span>
    </PlaceLink>
  );
}

/** How long somebody types before it is searched. */
const typeMs = 200;

interface Answer {
  readonly found: readonly Found[];
  /** What there is to say of it. */
  readonly words: string;
}

const nothing: Answer = { found: [], words: '' };

/** What a search finds, while it is typed: the last one counts. */
function useFound(account: Account, query: string, room: string | null): Answer {
  const [answer, setAnswer] = useState(nothing);
  const asked = query.trim();
  useEffect(() => {
    if (asked === '') {
      setAnswer(nothing);
      return;
    }
    const leaving = new AbortController();
    const typing = setTimeout(async () => {
      try {
        const found = await account.api.search(asked, room, leaving.signal);
        setAnswer({ found, words: found.length > 0 ? count(found.length, 'message') : 'Nothing found.' });
      } catch (cause) {
        if (!leaving.signal.aborted)
          setAnswer({ found: [], words: cause instanceof Error ? cause.message : 'It did not work.' });
      }
    }, typeMs);
    return () => {
      clearTimeout(typing);
      leaving.abort();
    };
  }, [account, asked, room]);
  return answer;
}
