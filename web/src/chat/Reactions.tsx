import type { Message, Reaction } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { namesOf } from '../model/people.ts';
import { useActs } from './acts.ts';

/** The emoji on a message, each a switch for one's own. */
export function Reactions({ message }: { readonly message: Message<Body> }) {
  const { toggle, locked } = useActs();
  if (message.reactions.length === 0) return null;
  return (
    <ul className="reactions" aria-label="Reactions">
      {message.reactions.map(reaction => (
        <li key={reaction.emoji}>
          <button
            type="button"
            className="reaction"
            aria-pressed={reaction.mine}
            aria-label={`${reaction.emoji} ${reaction.count}, by ${whoOf(reaction)}`}
            title={whoOf(reaction)}
            disabled={locked}
            onClick={() => toggle(message, reaction.emoji)}
          >
            <span className="reaction-emoji">{reaction.emoji}</span>
            {reaction.count}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** Who reacted: of many, only some are named to us. */
function whoOf({ users, count }: Reaction): string {
  const unnamed = Array.from({ length: Math.max(0, count - users.length) }, () => '');
  return namesOf([...users, ...unnamed], unnamed.length > 0 ? users.length : 10);
}
