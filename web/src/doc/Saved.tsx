import { useEffect, useState } from 'react';
import type { DocState } from 'roomlog/yjs';
import { stateWords } from './words.ts';

/** For how long all must be saved until that is shown: who types sees one word, and not two by turns. */
const steadyMs = 500;

/** Whether the text is saved. It may say for a moment too long that it is not, and never too early that it is. */
export function Saved({ state }: { readonly state: DocState }) {
  const shown = useSteady(state);
  const { name, text } = stateWords(shown);
  return (
    <p className="saved" data-state={shown} title={text}>
      <span className="saved-sign" aria-hidden="true" />
      <span>
        {name}
        <span className="unseen">. {text}</span>
      </span>
    </p>
  );
}

function useSteady(state: DocState): DocState {
  const [steady, setSteady] = useState(state);
  useEffect(() => {
    if (state !== 'saved' || steady === 'loading') {
      setSteady(state);
      return;
    }
    const waiting = setTimeout(() => setSteady(state), steadyMs);
    return () => clearTimeout(waiting);
  }, [state, steady]);
  return state === 'saved' && (steady === 'saving' || steady === 'offline') ? 'saving' : state;
}
