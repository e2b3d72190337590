import type { Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { textOf } from '../model/text.ts';

/** What can be done with a message that was refused. */
export interface Remedies {
  readonly retry: (tag: string) => void;
  readonly edit: (tag: string, text: string) => void;
  readonly discard: (tag: string) => void;
}

interface FailureProps extends Remedies {
  readonly message: Message<Body>;
  /** What comes before the reason. */
  readonly lead?: string;
}

/** Why a message was refused, and what can be done with it. */
export function Failure({ message, lead = '', retry, edit, discard }: FailureProps) {
  const { tag, error, data } = message;
  return (
    <div className="failure">
      <p>
        {lead}
        {error?.message ?? 'The server refused it.'} {error && <a href={error.docs}>Why</a>}
      </p>
      <button type="button" className="quiet-button" onClick={() => retry(tag)}>
        Retry
      </button>
      <button type="button" className="quiet-button" onClick={() => edit(tag, textOf(data))}>
        Edit
      </button>
      <button type="button" className="quiet-button" onClick={() => discard(tag)}>
        Discard
      </button>
    </div>
  );
}
