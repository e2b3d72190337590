import type { CrossingState } from '../guest/crossing.ts';
import type { Guest } from '../guest/guest.ts';
import type { LineState } from '../guest/line.ts';
import { clock, verdictWords } from '../model/words.ts';
import { useNow, useReadable } from './hooks.ts';

/** What to expect of the tunnel, and afterwards what came of it. Its place is always taken, so that nothing jumps. */
export function TunnelNote({ guest }: { readonly guest: Guest }) {
  const crossing = useReadable(guest.crossing.state);
  const line = useReadable(guest.line.state);
  const inside = crossing.kind === 'inside';
  const now = useNow(inside);
  return (
    <div className="note" data-kind={crossing.kind}>
      <p role="status" className="note-words">
        {noteWords(crossing, line, guest.name)}
      </p>
      {inside && (
        <p className="note-clock" role="timer" aria-label="Time in the tunnel">
          {clock(now - crossing.since)}
        </p>
      )}
    </div>
  );
}

function noteWords(crossing: CrossingState, line: LineState, name: string): string {
  if (line.kind === 'direct') return line.reason;
  switch (crossing.kind) {
    case 'outside':
      return `The tunnel cuts ${name} off without a word: both ends stay open, nothing passes.`;
    case 'inside':
      return 'Nothing passes. Keep typing in both; let go and everything arrives once, in order.';
    case 'catching-up':
      return 'Out again. Catching up…';
    case 'through':
      return verdictWords(crossing);
    case 'stuck':
      return `The tunnel did not answer: ${crossing.reason}`;
  }
}
