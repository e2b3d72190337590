import { useEffect, useMemo, useState } from 'react';
import type { Member, RoomEvent } from 'roomlog';
import { usePresence, useRoom } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { type Absent, type Person, peopleOf } from '../model/people.ts';
import { ago, fullTime, type ServerClock } from '../model/when.ts';
import { count } from '../model/words.ts';
import { useNow } from '../pane/hooks.ts';
import type { Account } from './account.ts';

/** How long changes of who is here or a member are gathered before the absent are asked for anew. */
const gatherMs = 500;

/** Who is in the room and who belongs to it. */
export function People({ account }: { readonly account: Account }) {
  const { self, others, occupancy } = usePresence();
  const here = useMemo(() => (self ? [self, ...others] : others), [self, others]);
  const absent = useAbsent(account, here);
  const people = useMemo(() => peopleOf(here, absent, account.name), [here, absent, account.name]);
  return (
    <section className="people" aria-labelledby="people">
      <h2 id="people">
        People <span className="people-count">{occupancy.users > 0 && `${occupancy.users} here`}</span>
      </h2>
      {occupancy.stale && <p className="people-note">As it was last known.</p>}
      {occupancy.counts && (
        <p className="people-note">
          {count(occupancy.users, 'person').replace('persons', 'people')} are here.
        </p>
      )}
      <ul>
        {people.map(person => (
          <PersonRow key={person.user} person={person} clock={account.clock} />
        ))}
      </ul>
    </section>
  );
}

function PersonRow({ person, clock }: { readonly person: Person; readonly clock: ServerClock }) {
  const { user, own, presence, lastSeen } = person;
  useNow(presence === 'away', 30_000);
  return (
    <li className="person" data-presence={presence}>
      <span className="person-face" aria-hidden="true">
        {[...user][0]}
        <span className="person-dot" />
      </span>
      <span className="person-name" dir="auto">
        {user}
        {own && <span className="person-own"> (you)</span>}
      </span>
      <span className="person-seen" title={lastSeen && fullTime(lastSeen)}>
        {lastSeen && <span className="unseen">last seen </span>}
        {lastSeen ? ago(lastSeen, clock.now()) : presence}
      </span>
    </li>
  );
}

/** The members of the room who may not be here, and when they were; asked for again when somebody comes, goes or becomes a member. */
function useAbsent(account: Account, here: readonly Member<unknown>[]): readonly Absent[] {
  const { room, status } = useRoom<Body>();
  const [absent, setAbsent] = useState<readonly Absent[]>([]);
  const [asked, setAsked] = useState(0);
  const names = here.map(({ user }) => user).join('\n');
  const isLive = status.state === 'live';
  useEffect(() => {
    const again = ({ type }: RoomEvent) => type === 'member' && setAsked(n => n + 1);
    return room.on('event', again);
  }, [room]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: that somebody came or went is why it is asked again
  useEffect(() => {
    if (!isLive) return;
    let wanted = true;
    const gathering = setTimeout(async () => {
      try {
        const members = await account.api.members(room.id);
        if (!wanted) return; // a page that nobody sees asks for nothing more
        const seen = members.length > 0 ? await account.api.lastSeen(members) : [];
        if (!wanted) return;
        setAbsent(
          seen.map(({ user, last_seen }) => ({
            user,
            lastSeen: last_seen === undefined ? undefined : new Date(last_seen),
          })),
        );
      } catch {
        // Who is here is known without it.
      }
    }, gatherMs);
    return () => {
      wanted = false;
      clearTimeout(gathering);
    };
  }, [account, room, isLive, asked, names]);
  return absent;
}
