import { type RefObject, useEffect, useRef } from 'react';
import type { Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';
import { Icon } from '../pane/Icon.tsx';

/** What one reacts with most. */
const emojis = ['👍', '❤️', '😂', '🎉', '😮', '🙏'] as const;

/** Which message a menu is for, and the button that it stands beside. */
export interface MenuOf {
  readonly message: Message<Body>;
  readonly button: HTMLElement;
}

interface MessageMenuProps {
  readonly of: MenuOf | null;
  readonly onClose: () => void;
  readonly onReact: (message: Message<Body>, emoji: string) => void;
  readonly onReply: (message: Message<Body>) => void;
  readonly onEdit: (message: Message<Body>) => void;
  readonly onDelete: (message: Message<Body>) => void;
}

/** What can be done with one message. Escape and a press beside it close it, and the focus returns to its button. */
export function MessageMenu({ of, onClose, onReact, onReply, onEdit, onDelete }: MessageMenuProps) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!of || !box.current) return;
    box.current.showPopover();
    placeBeside(box.current, of.button);
    box.current.querySelector('button')?.focus();
  }, [of]);
  const message = of?.message;
  const choose = (act: (message: Message<Body>) => void) => () => {
    box.current?.hidePopover();
    if (message) act(message);
  };
  const isMine = (emoji: string) => message?.reactions.some(r => r.emoji === emoji && r.mine) ?? false;
  return (
    <div
      ref={box}
      popover="auto"
      className="message-menu"
      role="dialog"
      aria-label={message ? `Message of ${message.own ? 'yours' : message.author}` : 'Message'}
      onKeyDown={event => moveFocus(event.key, box) && event.preventDefault()}
      onToggle={event => event.newState === 'closed' && onClose()}
    >
      <fieldset className="emojis" aria-label="React">
        {emojis.map(emoji => (
          <button
            key={emoji}
            type="button"
            aria-pressed={isMine(emoji)}
            onClick={choose(m => onReact(m, emoji))}
          >
            {emoji}
          </button>
        ))}
      </fieldset>
      <button type="button" className="menu-item" onClick={choose(onReply)}>
        <Icon name="reply" /> Reply
      </button>
      {message?.own && (
        <>
          <button type="button" className="menu-item" onClick={choose(onEdit)}>
            <Icon name="edit" /> Edit
          </button>
          <button type="button" className="menu-item" data-tone="bad" onClick={choose(onDelete)}>
            <Icon name="remove" /> Delete…
          </button>
        </>
      )}
    </div>
  );
}

const steps: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/** Arrow keys go from button to button, round and round. */
function moveFocus(key: string, box: RefObject<HTMLElement | null>): boolean {
  const step = steps[key];
  if (step === undefined || !box.current) return false;
  const buttons = [...box.current.querySelectorAll('button')];
  const at = buttons.findIndex(button => button.matches(':focus'));
  buttons[(at + step + buttons.length) % buttons.length]?.focus();
  return true;
}

const edgePx = 8;

/** Below the button, or above it where there is no room below, and never beyond the window. */
function placeBeside(box: HTMLElement, button: HTMLElement): void {
  const by = button.getBoundingClientRect();
  const { width, height } = box.getBoundingClientRect();
  const fits = by.bottom + height + edgePx <= innerHeight;
  const top = fits ? by.bottom : by.top - height;
  const left = by.right - width > edgePx ? by.right - width : by.left;
  box.style.top = `${Math.max(edgePx, top)}px`;
  box.style.left = `${Math.min(Math.max(edgePx, left), innerWidth - width - edgePx)}px`;
}
