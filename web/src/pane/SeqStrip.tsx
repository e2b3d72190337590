import { memo } from 'react';
import type { Guest } from '../guest/guest.ts';
import { cellWords, type StripCell, stripWords } from '../model/strip.ts';
import { useReadable } from './hooks.ts';

/** The seqs that this pane received, one cell each: what the pane can prove about itself. */
export function SeqStrip({ guest }: { readonly guest: Guest }) {
  const state = useReadable(guest.strip.state);
  const words = stripWords(state);
  return (
    <figure className="strip">
      <div className="strip-cells" role="img" aria-label={`Events that ${guest.name} received: ${words}`}>
        {state.cells.length === 0 && (
          <span className="strip-empty">One cell for each event, as it comes.</span>
        )}
        {state.cells.map(cell => (
          <Cell key={cell.seq} cell={cell} />
        ))}
      </div>
      <figcaption
        className="strip-words"
        data-whole={state.missing + state.repeated + state.disordered === 0}
      >
        {words}
        {state.last > 0 && <span className="strip-last">up to no. {state.last}</span>}
      </figcaption>
    </figure>
  );
}

// A cell changes only when a hole is filled; the others are left alone at each arrival.
const Cell = memo(
  ({ cell }: { readonly cell: StripCell }) => (
    <span
      className="cell"
      data-kind={cell.kind}
      data-own={cell.own}
      data-seq={cell.seq}
      title={cellWords(cell)}
    />
  ),
  (a, b) => a.cell.seq === b.cell.seq && a.cell.kind === b.cell.kind && a.cell.own === b.cell.own,
);

/** What the shapes of the strips mean. */
export function StripLegend() {
  return (
    <ul className="legend" aria-label="What the cells of the strips mean">
      <li>
        <span className="cell" data-kind="live" data-own="false" /> live
      </li>
      <li>
        <span className="cell" data-kind="replay" data-own="false" /> replayed from the log
      </li>
      <li>
        <span className="cell" data-kind="live" data-own="true" /> own
      </li>
      <li>
        <span className="cell" data-kind="missing" data-own="false" /> missing
      </li>
    </ul>
  );
}
