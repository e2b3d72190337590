import { useEffect, useState } from 'react';

type Outcome = 'idle' | 'copied' | 'refused';
const words: Record<Outcome, string> = { idle: 'Copy', copied: 'Copied', refused: 'Select and copy by hand' };
const shownMs = 2_500;

/** Copies a text and says so, or says that the browser did not allow it. */
export function CopyButton({ text, ready }: { readonly text: string; readonly ready: boolean }) {
  const [outcome, setOutcome] = useState<Outcome>('idle');
  useEffect(() => {
    if (outcome === 'idle') return;
    const showing = setTimeout(() => setOutcome('idle'), shownMs);
    return () => clearTimeout(showing);
  }, [outcome]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setOutcome('copied');
    } catch {
      setOutcome('refused');
    }
  };
  return (
    <button
      type="button"
      className="copy"
      disabled={!ready}
      onClick={() => void copy()}
      data-outcome={outcome}
    >
      <span aria-live="polite">{words[outcome]}</span>
    </button>
  );
}
