import { useId } from 'react';
import type { Message } from 'roomlog';
import { useReceipts } from 'roomlog/react';
import { type Tick as State, tickOf } from '../model/ticks.ts';
import { Icon } from '../pane/Icon.tsx';

/** How far a message of one's own has come: its readers' names are shown where it is pointed at or has the focus. */
export function Tick({ message }: { readonly message: Message<unknown> }) {
  const id = useId();
  const { state, words } = useReceipts<State>(({ marks }) => tickOf(message, marks));
  if (state !== 'read')
    return (
      <span className="tick" data-tick={state} title={words}>
        <Icon name={state} />
        <span className="unseen">{words}</span>
      </span>
    );
  return (
    <button type="button" className="tick" data-tick={state} aria-labelledby={id}>
      <Icon name={state} />
      <span className="tick-names" id={id} dir="auto">
        {words}
      </span>
    </button>
  );
}
