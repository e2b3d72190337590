import type { DocState } from 'roomlog/yjs';

const words: Record<DocState, { readonly name: string; readonly text: string }> = {
  loading: { name: 'Opening…', text: 'The text is on its way.' },
  saving: { name: 'Saving…', text: 'It is not certain yet that the server has all of your changes.' },
  saved: { name: 'Saved', text: 'The server has stored all of your changes.' },
  offline: { name: 'Offline', text: 'Changes are kept here, and saved when you are connected again.' },
  failed: { name: 'Not saved', text: 'The server refuses your changes.' },
  replaced: { name: 'Not saved', text: 'This is no longer the text of the room.' },
};

/** Says how far a document is: a word or two for the chip, and what it means. */
export function stateWords(state: DocState): { readonly name: string; readonly text: string } {
  return words[state];
}

/**
 * What is read aloud when the state changes. Every letter is saved, so that it is not said; it is, when letters are not, and when they are again.
 * @param was what was said last of the state
 */
export function spokenWords(state: DocState, was: string): string {
  const { name, text } = words[state];
  if (state === 'offline' || state === 'failed' || state === 'replaced') return `${name}. ${text}`;
  return state === 'saved' && was !== '' ? 'All changes are saved.' : was;
}
