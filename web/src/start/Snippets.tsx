import { type KeyboardEvent, useId, useMemo, useState } from 'react';
import { plainText, type Snippet, snippets } from '../model/snippet.ts';
import { CopyButton } from './CopyButton.tsx';
import { type ShownToken, useDevToken } from './useDevToken.ts';

/** The user whose token the snippets hold. */
const you = 'You';

/** The same room from one's own program: tabs with this server's URL and a token that works. */
export function Snippets({ room, origin }: { readonly room: string; readonly origin: string }) {
  const shown = useDevToken(you);
  const [tag] = useState(() => crypto.randomUUID());
  const token = shown && 'token' in shown ? shown.token : '…';
  const tabs = useMemo(() => snippets({ url: origin, token, room, tag }), [origin, token, room, tag]);
  const [chosen, setChosen] = useState<Snippet['id']>('react');
  const snippet = tabs.find(tab => tab.id === chosen) ?? tabs[0];
  const id = useId();
  if (!snippet) return null;
  return (
    <div className="snippets">
      <div className="snippets-bar">
        <Tabs id={id} tabs={tabs} chosen={snippet.id} onChoose={setChosen} />
        <CopyButton text={plainText(snippet)} ready={token !== '…'} />
      </div>
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={`${id}-${snippet.id}`} className="snippet">
        <Code snippet={snippet} />
        <p className="snippet-note">{noteOf(shown, snippet)}</p>
      </div>
    </div>
  );
}

function noteOf(shown: ShownToken, snippet: Snippet): string {
  return shown && 'error' in shown ? `No token could be had: ${shown.error}` : snippet.note;
}

function Tabs({
  id,
  tabs,
  chosen,
  onChoose,
}: {
  readonly id: string;
  readonly tabs: readonly Snippet[];
  readonly chosen: Snippet['id'];
  readonly onChoose: (id: Snippet['id']) => void;
}) {
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const at = tabs.findIndex(tab => tab.id === chosen);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    if (!next) return;
    onChoose(next.id);
    document.getElementById(`${id}-${next.id}`)?.focus();
  };
  return (
    <div role="tablist" aria-label="Ways to use the room" className="tabs" onKeyDown={onKeyDown}>
      {tabs.map(tab => (
        <button
          key={tab.id}
          id={`${id}-${tab.id}`}
          type="button"
          role="tab"
          aria-selected={tab.id === chosen}
          aria-controls={`${id}-panel`}
          tabIndex={tab.id === chosen ? 0 : -1}
          onClick={() => onChoose(tab.id)}
        >
          {tab.title}
        </button>
      ))}
    </div>
  );
}

/** How much of a token is shown. */
const tokenShown = 10;

function Shortened({ text }: { readonly text: string }) {
  const rest = text.slice(tokenShown);
  return (
    <>
      {text.slice(0, tokenShown)}
      {rest && <span className="code-rest">{rest}</span>}
    </>
  );
}

function Code({ snippet }: { readonly snippet: Snippet }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section tabIndex={0} className="code" aria-label={`${snippet.title} snippet`}>
      <pre>
        <code>
          {snippet.imports && <span className="code-imports">{snippet.imports}</span>}
          {snippet.pieces.map((piece, i) =>
            piece.kind ? (
              // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of a snippet never move
              <span key={i} className={`code-${piece.kind}`}>
                {piece.kind === 'token' ? <Shortened text={piece.text} /> : piece.text}
              </span>
            ) : (
              piece.text
            ),
          )}
        </code>
      </pre>
    </section>
  );
}
