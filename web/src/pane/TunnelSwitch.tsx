import type { Guest } from '../guest/guest.ts';
import { useReadable } from './hooks.ts';

/** The switch that cuts one pane off: its server-side fault proxy lets nothing pass, and closes nothing. */
export function TunnelSwitch({ guest }: { readonly guest: Guest }) {
  const line = useReadable(guest.line.state);
  const inside = useReadable(guest.crossing.state).kind === 'inside';
  return (
    <button
      type="button"
      role="switch"
      className="tunnel-switch"
      aria-checked={inside}
      aria-label={`Tunnel for ${guest.name}`}
      disabled={line.kind !== 'tunnel'}
      title={line.kind === 'direct' ? line.reason : undefined}
      onClick={() => void guest.crossing.set(!inside)}
    >
      <span aria-hidden="true">Tunnel</span>
      <span className="tunnel-track" aria-hidden="true">
        <span className="tunnel-thumb" />
      </span>
    </button>
  );
}
