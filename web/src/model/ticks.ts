import type { Marks, Message } from 'roomlog';
import { namesOf } from './people.ts';

/** How far a message of one's own has come, and whom it has reached. */
export interface Tick {
  readonly state: Message<unknown>['delivery'] | 'delivered' | 'read';
  /** The same in words, with the names of its readers where they are known. */
  readonly words: string;
}

/** How far a message has come by what the others have marked. */
export function tickOf({ delivery, seq }: Pick<Message<unknown>, 'delivery' | 'seq'>, marks: Marks): Tick {
  if (delivery !== 'sent' || seq === null) return { state: delivery, words: delivery };
  const readers = marks.users.filter(({ read }) => read >= seq).map(({ user }) => user);
  if (readers.length > 0) return { state: 'read', words: `Read by ${namesOf(readers, 8)}` };
  if (marks.read.any >= seq)
    return { state: 'read', words: marks.read.all >= seq ? 'Read by all' : 'Read by some' };
  if (marks.delivered.any >= seq) return { state: 'delivered', words: 'delivered' };
  return { state: 'sent', words: 'sent' };
}
