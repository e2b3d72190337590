import { useClient, usePresence } from 'roomlog/react';
import { hueOf, initialsOf } from '../cursors/who.ts';

/**
 * Who is here, by their initials; nothing while that is not known.
 * @param where what the list is called, such as "At the board"
 */
export function Faces({ where }: { readonly where: string }) {
  const { user = '' } = useClient();
  const { others, occupancy } = usePresence();
  if (occupancy.stale) return null;
  const all = [user, ...others.map(member => member.user)];
  return (
    <ul className="desk-faces" aria-label={where}>
      {all.slice(0, 6).map((name, i) => (
        <li key={name} className="desk-face" data-hue={hueOf(name)} title={i === 0 ? `${name} (you)` : name}>
          <span aria-hidden="true">{initialsOf(name)}</span>
          <span className="unseen">{i === 0 ? `${name}, you` : name}</span>
        </li>
      ))}
      {occupancy.users > 6 && <li className="desk-face">+{occupancy.users - 6}</li>}
    </ul>
  );
}
