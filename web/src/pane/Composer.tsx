import { type KeyboardEvent, type ReactNode, type RefObject, type SubmitEvent, useId } from 'react';

interface ComposerProps {
  readonly name: string;
  readonly field: RefObject<HTMLTextAreaElement | null>;
  readonly onSend: (text: string) => void;
  /** What stands in the field at first. */
  readonly draft?: string;
  /** Hears each change of the text, also that it has gone. */
  readonly onDraft?: (text: string) => void;
  /** Hears each key first; what it takes with `preventDefault` does nothing here. */
  readonly onKey?: (event: KeyboardEvent<HTMLTextAreaElement>) => void;
  readonly onLeave?: () => void;
  /** What the button says. */
  readonly verb?: string;
  /** What stands before it. */
  readonly tools?: ReactNode;
}

/** Where a guest writes. Enter sends, Shift+Enter makes a new line; what was sent is gone from the field at once. */
export function Composer({
  name,
  field,
  onSend,
  draft,
  onDraft,
  onKey,
  onLeave,
  verb = 'Send',
  tools,
}: ComposerProps) {
  const id = useId();
  const send = () => {
    const box = field.current;
    const text = box?.value.trim();
    if (!box || !text) return;
    onSend(text);
    box.value = '';
    onDraft?.('');
    box.focus();
  };
  const onSubmit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    send();
  };
  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    onKey?.(event);
    if (event.defaultPrevented) return;
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form className="composer" onSubmit={onSubmit}>
      <label className="unseen" htmlFor={id}>
        Message as {name}
      </label>
      <textarea
        ref={field}
        id={id}
        rows={1}
        dir="auto"
        enterKeyHint="send"
        autoComplete="off"
        placeholder={`Write as ${name}`}
        defaultValue={draft}
        onInput={event => onDraft?.(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onBlur={onLeave}
      />
      {tools}
      <button type="submit" className="send">
        {verb}
      </button>
    </form>
  );
}
