import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { RoomlogProvider, RoomProvider } from 'roomlog/react';
import { useReadable } from '../pane/hooks.ts';
import { Icon } from '../pane/Icon.tsx';
import { TopBar } from '../theme/TopBar.tsx';
import { type Account, accountOf, keepName, lastName, type Name, names } from './account.ts';
import { Conversation } from './Conversation.tsx';
import { goTo, type Place, usePlace } from './place.ts';
import { nameOf, RoomList } from './RoomList.tsx';

/** The chat: an account, its rooms, and one of them open. */
export function Chat() {
  const [name, setName] = useState(lastName);
  const account = accountOf(name);
  const place = usePlace();
  useEffect(() => account.open(place.room), [account, place.room]);
  const elsewhere = useElsewhere(account, place.room);
  useTitle(place.room, elsewhere);
  const choose = (next: Name) => {
    keepName(next);
    setName(next);
  };
  return (
    <RoomlogProvider client={account.client}>
      <TopBar here="chat" />
      <Rooms account={account} place={place} elsewhere={elsewhere} onAccount={choose} />
    </RoomlogProvider>
  );
}

interface RoomsProps {
  readonly account: Account;
  readonly place: Place;
  /** How many messages are new in the other rooms. */
  readonly elsewhere: number;
  readonly onAccount: (name: Name) => void;
}

function Rooms({ account, place, elsewhere, onAccount }: RoomsProps) {
  const wide = useWide();
  const drawer = useRef<HTMLDialogElement>(null);
  const side = (onPick?: () => void) => (
    <>
      <RoomList account={account} current={place.room} {...(onPick && { onPick })} />
      <AccountSwitch name={account.name} onChoose={onAccount} />
    </>
  );
  const forget = () => {
    account.forget(place.room);
    goTo(account.rooms.get()[0] ?? 'chat:lobby');
  };
  return (
    <main className="chat">
      {wide ? (
        <div className="side">{side()}</div>
      ) : (
        <dialog ref={drawer} className="side drawer" aria-label="Rooms and account" closedby="any">
          <button type="button" className="drawer-close" onClick={() => drawer.current?.close()}>
            <Icon name="close" />
            <span className="unseen">Close</span>
          </button>
          {side(() => drawer.current?.close())}
        </dialog>
      )}
      <RoomProvider id={place.room} key={`${account.name} ${place.room}`}>
        <Conversation
          account={account}
          place={place}
          onForget={forget}
          menu={
            !wide && (
              <button type="button" className="rooms-button" onClick={() => drawer.current?.showModal()}>
                <Icon name="rooms" />
                Rooms
                {elsewhere > 0 && <span className="badge">{elsewhere > 99 ? '99+' : elsewhere}</span>}
              </button>
            )
          }
        />
      </RoomProvider>
    </main>
  );
}

/** Who is writing here: a server in dev mode lets anybody be anyone. */
function AccountSwitch({ name, onChoose }: { readonly name: Name; readonly onChoose: (name: Name) => void }) {
  return (
    <fieldset className="accounts">
      <legend>You are</legend>
      <div className="accounts-choice">
        {names.map(n => (
          <label key={n} className="themes-choice">
            <input type="radio" name="account" checked={n === name} onChange={() => onChoose(n)} />
            <span>{n}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function useElsewhere(account: Account, current: string): number {
  const unread = useReadable(account.unread);
  return Object.entries(unread).reduce((sum, [id, n]) => (id === current ? sum : sum + n), 0);
}

function useTitle(room: string, elsewhere: number): void {
  useEffect(() => {
    document.title = `${elsewhere > 0 ? `(${elsewhere}) ` : ''}${nameOf(room)} · Roomlog`;
  }, [room, elsewhere]);
}

const wideEnough = matchMedia('(min-width: 52rem)');

/** Whether the list of rooms has a place beside the conversation. */
function useWide(): boolean {
  return useSyncExternalStore(
    onChange => {
      wideEnough.addEventListener('change', onChange);
      return () => wideEnough.removeEventListener('change', onChange);
    },
    () => wideEnough.matches,
  );
}
