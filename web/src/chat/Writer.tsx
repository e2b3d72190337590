import { type KeyboardEvent, type RefObject, useState } from 'react';
import type { Message } from 'roomlog';
import { useTyping } from 'roomlog/react';
import type { Body } from '../guest/guest.ts';
import { typingWords } from '../model/people.ts';
import { questionIn } from '../model/script.ts';
import { Composer } from '../pane/Composer.tsx';
import { useReadable } from '../pane/hooks.ts';
import { Icon } from '../pane/Icon.tsx';
import { answers } from './answers.ts';
import { wordsOf } from './Quote.tsx';

/** What is being written: a message, an answer to one, or other words for one. */
export type Writing =
  | { readonly kind: 'message' }
  | { readonly kind: 'answer' | 'edit'; readonly message: Message<Body> };

interface WriterProps {
  readonly roomId: string;
  readonly name: string;
  readonly field: RefObject<HTMLTextAreaElement | null>;
  readonly writing: Writing;
  readonly draft: string;
  readonly onDraft: (text: string) => void;
  readonly onSend: (text: string) => void;
  /** It is to be a message of its own again. */
  readonly onCancel: () => void;
  /** The arrow up, in an empty field. */
  readonly onEditLast: () => void;
}

/** Where one writes: who else does, what it is about, and the field. */
export function Writer({
  roomId,
  name,
  field,
  writing,
  draft,
  onDraft,
  onSend,
  onCancel,
  onEditLast,
}: WriterProps) {
  const { who, keystroke, stop } = useTyping();
  const [isCommand, setIsCommand] = useState(draft.startsWith('/'));
  const failure = useReadable(answers.failure);
  const hint = failure || (isCommand && askWords);
  const onKey = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Escape' && writing.kind !== 'message') {
      event.preventDefault();
      onCancel();
    } else if (event.key === 'ArrowUp' && event.currentTarget.value === '' && writing.kind === 'message') {
      event.preventDefault();
      onEditLast();
    }
  };
  return (
    <div className="writer">
      <p className="typing" data-on={who.length > 0} dir="auto">
        {hint || typingWords(who)}
      </p>
      {writing.kind !== 'message' && (
        <div className="about">
          <Icon name={writing.kind === 'edit' ? 'edit' : 'reply'} />
          <p>
            <b dir="auto">
              {writing.kind === 'edit'
                ? 'Edit your message'
                : `Reply to ${writing.message.own ? 'yourself' : writing.message.author}`}
            </b>
            <span dir="auto">{wordsOf(writing.message)}</span>
          </p>
          <button type="button" className="icon-button" onClick={onCancel}>
            <Icon name="close" />
            <span className="unseen">Cancel</span>
          </button>
        </div>
      )}
      <Composer
        name={name}
        field={field}
        draft={draft}
        onDraft={text => {
          if (text === '') stop();
          else keystroke();
          setIsCommand(text.startsWith('/'));
          onDraft(text);
        }}
        onKey={onKey}
        onLeave={stop}
        onSend={onSend}
        {...(writing.kind === 'edit'
          ? { verb: 'Save' }
          : { tools: <AskButton roomId={roomId} field={field} /> })}
      />
    </div>
  );
}

const askWords = '/ask and a question: a scripted demo answers, word by word.';

interface AskProps {
  readonly roomId: string;
  readonly field: RefObject<HTMLTextAreaElement | null>;
}

/** Has the demo answer what stands in the field, or stops it. */
function AskButton({ roomId, field }: AskProps) {
  const isAnswering = useReadable(answers.rooms).includes(roomId);
  const ask = () => {
    const box = field.current;
    if (!box) return;
    if (questionIn(box.value.trim()) === null) box.value = `/ask ${box.value}`;
    box.form?.requestSubmit();
  };
  return (
    <button
      type="button"
      className="icon-button"
      title={isAnswering ? undefined : askWords}
      onClick={isAnswering ? () => answers.stop(roomId) : ask}
    >
      <Icon name={isAnswering ? 'stop' : 'ask'} />
      {isAnswering ? 'Stop' : 'Ask'}
      <span className="unseen">{isAnswering ? ' the answer' : ' the demo'}</span>
    </button>
  );
}
