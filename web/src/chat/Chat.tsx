import { useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { RoomlogProvider, RoomProvider, usePresence, useRoom } from 'roomlog/react';
import { useReadable } from '../pane/hooks.ts';
import { Icon } from '../pane/Icon.tsx';
import { TopBar } from '../theme/TopBar.tsx';
import { type Account, accountOf, keepName, lastName, type Name, names } from './account.ts';
import { Conversation } from './Conversation.tsx';
import { People } from './People.tsx';
import { goTo, type Place, usePlace } from './place.ts';
import { nameOf, RoomList } from './RoomList.tsx';
import { SearchButton } from './Search.tsx';
import { useDialog } from './useDialog.ts';

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
  const wide = useMatch(wideEnough);
  const widest = useMatch(widestEnough);
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
        <Here />
        <Conversation
          account={account}
          place={place}
          onForget={forget}
          menu={
            !wide && (
              <button type="button" className="rooms-button" onClick={() => drawer.current?.showModal()}>
                <Icon name="rooms" />
                Rooms
                {elsewhere > 0 && <span className="badge">{elsewhere > 999 ? '999+' : elsewhere}</span>}
              </button>
            )
          }
          tools={
            <>
              {!widest && <PeopleSheet account={account} />}
              <SearchButton account={account} roomId={place.room} />
            </>
          }
        />
        {widest && <People account={account} />}
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

/** Whoever has a room open is seen in it by others; of the other rooms that are followed, only the news count. */
function Here() {
  const { room } = useRoom();
  useEffect(() => {
    room.presence.set({});
    return () => {
      room.typing.stop();
      room.presence.leave();
    };
  }, [room]);
  return null;
}

/** The people of the room, behind a button that says how many are here. */
function PeopleSheet({ account }: { readonly account: Account }) {
  const { dialog, isOpen, open, close, closed } = useDialog();
  const users = usePresence(({ occupancy }) => occupancy.users);
  return (
    <>
      <button type="button" className="icon-button people-button" onClick={open}>
        <Icon name="people" />
        <span className="unseen">People: </span>
        {users > 0 && users}
        <span className="unseen"> here</span>
      </button>
      <dialog
        ref={dialog}
        className="drawer people-drawer"
        aria-label="People"
        closedby="any"
        onClose={closed}
      >
        {isOpen && (
          <>
            <button type="button" className="drawer-close" onClick={close}>
              <Icon name="close" />
              <span className="unseen">Close</span>
            </button>
            <People account={account} />
          </>
        )}
      </dialog>
    </>
  );
}

/** Whether the list of rooms has a place beside the conversation, and whether the people of the room have one too. */
const wideEnough = matchMedia('(min-width: 52rem)');
const widestEnough = matchMedia('(min-width: 70rem)');

function useMatch(query: MediaQueryList): boolean {
  return useSyncExternalStore(
    onChange => {
      query.addEventListener('change', onChange);
      return () => query.removeEventListener('change', onChange);
    },
    () => query.matches,
  );
}
