import type { Member } from 'roomlog';

/** Somebody of a room, as the list of people shows them. */
export interface Person {
  readonly user: string;
  readonly own: boolean;
  readonly presence: 'online' | 'idle' | 'away';
  /** When they were last there; undefined where that is not known, and of those who are there. */
  readonly lastSeen: Date | undefined;
}

/** Names in a sentence, the first `most` of them: "Mira", "Mira and Jonas", "Mira, Jonas and 12 others". */
export function namesOf(names: readonly string[], most: number): string {
  const others = names.length - most;
  const parts = others > 1 ? [...names.slice(0, most), `${others} others`] : [...names];
  const last = parts.pop() ?? '';
  return parts.length > 0 ? `${parts.join(', ')} and ${last}` : last;
}

/** Who is typing, in a sentence; empty where nobody is. */
export function typingWords(who: readonly string[]): string {
  const [first, second] = who;
  if (first === undefined) return '';
  if (second === undefined) return `${first} is typing…`;
  return who.length === 2 ? `${first} and ${second} are typing…` : 'Several people are typing…';
}

/** What is known of somebody who is not there. */
export interface Absent {
  readonly user: string;
  readonly lastSeen: Date | undefined;
}

const ranks = { online: 0, idle: 1, away: 2 } as const;

/** Everybody of a room: oneself first, then who is there, who is idle and who is away, each by name. */
export function peopleOf(
  here: readonly Pick<Member<unknown>, 'user' | 'idle'>[],
  members: readonly Absent[],
  self: string,
): Person[] {
  const people = new Map<string, Person>();
  for (const { user, lastSeen } of members)
    people.set(user, { user, own: user === self, presence: 'away', lastSeen });
  for (const { user, idle } of here)
    people.set(user, {
      user,
      own: user === self,
      presence: idle ? 'idle' : 'online',
      lastSeen: undefined,
    });
  return [...people.values()].sort(
    (a, b) =>
      Number(b.own) - Number(a.own) || ranks[a.presence] - ranks[b.presence] || a.user.localeCompare(b.user),
  );
}
