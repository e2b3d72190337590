import { useEffect, useRef, useState } from 'react';
import type { Member } from 'roomlog';
import { useClient, usePresence } from 'roomlog/react';
import { count } from '../model/words.ts';
import { comingWords, hueOf, initialsOf } from './who.ts';

const byName = new Intl.Collator(undefined, { numeric: true });

/** Who is here; a person's name leads to their pointer. Who comes and goes is read aloud, what moves is not. */
export function People({ onPick }: { readonly onPick: (user: string) => boolean }) {
  const { user = '' } = useClient();
  const { others, occupancy } = usePresence();
  const [missing, setMissing] = useState<string | null>(null);
  const news = useNews(others, !occupancy.stale && !occupancy.counts);
  const sorted = [...others].sort((a, b) => byName.compare(a.user, b.user));
  return (
    <aside className="people" aria-labelledby="people-name">
      <h2 id="people-name">
        {occupancy.stale
          ? 'Who is here'
          : occupancy.users <= 1
            ? 'One person here'
            : `${occupancy.users} people here`}
      </h2>
      <p className="unseen" role="status">
        {missing === null ? news : `${missing} has not pointed at anything yet.`}
      </p>
      <ul>
        <li className="person" data-hue={hueOf(user)}>
          <Face user={user} />
          <span className="person-name" dir="auto">
            {user}
          </span>
          <span className="person-note">you</span>
        </li>
        {sorted.map(member => (
          <li key={member.user}>
            <button
              type="button"
              className="person"
              data-hue={hueOf(member.user)}
              onClick={() => setMissing(onPick(member.user) ? null : member.user)}
            >
              <Face user={member.user} />
              <span className="unseen">Show where </span>
              <span className="person-name" dir="auto">
                {member.user}
              </span>
              <span className="unseen"> points</span>
              {member.idle && <span className="person-note">away</span>}
            </button>
          </li>
        ))}
      </ul>
      {occupancy.counts && (
        <p className="people-more">{count(occupancy.connections, 'window')}: too many to name them all.</p>
      )}
    </aside>
  );
}

function Face({ user }: { readonly user: string }) {
  return (
    <span className="person-face" aria-hidden="true">
      {initialsOf(user)}
    </span>
  );
}

/** For how long comings and goings are gathered into one sentence. */
const gatherMs = 1_000;

/** A sentence about who came and left lately. Who was here before this page is no news. */
function useNews(others: readonly Member[], known: boolean): string {
  const told = useRef<ReadonlySet<string> | null>(null);
  const [news, setNews] = useState('');
  useEffect(() => {
    if (!known) return;
    const here = new Set(others.map(({ user }) => user));
    const before = told.current;
    if (!before) {
      told.current = here;
      return;
    }
    const gathering = setTimeout(() => {
      told.current = here;
      const words = comingWords(
        [...here].filter(user => !before.has(user)),
        [...before].filter(user => !here.has(user)),
      );
      if (words) setNews(words);
    }, gatherMs);
    return () => clearTimeout(gathering);
  }, [others, known]);
  return news;
}
