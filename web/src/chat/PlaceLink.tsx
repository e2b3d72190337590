import type { ComponentProps } from 'react';
import { addressOf, goTo } from './place.ts';

interface PlaceLinkProps extends Omit<ComponentProps<'a'>, 'href' | 'onClick'> {
  readonly room: string;
  /** The message that it leads to; absent: the room. */
  readonly seq?: number;
  /** Goes there in another way than `goTo`. */
  readonly onFollow?: () => void;
}

/** A link to a room, or to one message of it, that is followed within the page: the browser would load it anew, without its account. */
export function PlaceLink({ room, seq, onFollow, ...rest }: PlaceLinkProps) {
  return (
    <a
      {...rest}
      href={addressOf(room, seq)}
      onClick={event => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return; // a new tab, as with any link
        event.preventDefault();
        if (onFollow) onFollow();
        else goTo(room, seq);
      }}
    />
  );
}
