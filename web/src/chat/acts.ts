import { createContext, useContext } from 'react';
import type { Message } from 'roomlog';
import type { Body } from '../guest/guest.ts';

/** What a row can ask of its conversation. The functions stay the same. */
export interface Acts {
  /** Opens the menu of a message beside the button that was pressed. */
  readonly openMenu: (message: Message<Body>, button: HTMLElement) => void;
  /** Adds one's own reaction, or takes it back. */
  readonly toggle: (message: Message<Body>, emoji: string) => void;
  /** Whether nothing can be written here. */
  readonly locked: boolean;
}

/** Given by Conversation to its rows. */
export const ActsContext = createContext<Acts>({ openMenu: () => {}, toggle: () => {}, locked: true });

/** What can be done with the messages of the conversation around. */
export function useActs(): Acts {
  return useContext(ActsContext);
}
