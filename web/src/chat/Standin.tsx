import type { RoomlogError } from 'roomlog';
import type { Link } from './Banner.tsx';

/** What stands in the place of a conversation that is empty, on its way, out of reach or refused. */
export function Standin({
  link,
  pending,
  error,
  isLinked,
  onForget,
  onLatest,
}: {
  readonly link: Link;
  readonly pending: boolean;
  readonly error: RoomlogError | undefined;
  /** The room is open, and it is the linked message that cannot be loaded. */
  readonly isLinked: boolean;
  readonly onForget: () => void;
  readonly onLatest: () => void;
}) {
  if (error)
    return (
      <div className="standin">
        <Cells kind="missing" />
        <h2>{isLinked ? 'The linked message cannot be loaded' : 'This room cannot be opened'}</h2>
        <p>
          {error.message} <a href={error.docs}>Why</a>
        </p>
        <button type="button" className="plain-button" onClick={isLinked ? onLatest : onForget}>
          {isLinked ? 'To the latest' : 'Take it off the list'}
        </button>
      </div>
    );
  if (isLinked)
    return (
      <div className="standin">
        <Cells kind="missing" />
        <h2>The linked message is no longer kept</h2>
        <p>It is older than the history that this room keeps.</p>
        <button type="button" className="plain-button" onClick={onLatest}>
          To the latest
        </button>
      </div>
    );
  if (!pending)
    return (
      <div className="standin">
        <Cells kind="replay" />
        <h2>Nobody has said anything yet</h2>
        <p>What is written first stands first in the log of this room, for everybody.</p>
      </div>
    );
  if (link.state === 'offline' || link.state === 'failed' || link.late)
    return (
      <div className="standin">
        <Cells kind="missing" />
        <h2>Not on this device yet</h2>
        <p>The messages come when there is a connection. What you write now is kept and sent then.</p>
      </div>
    );
  return (
    <div className="loading">
      <p className="unseen">Opening the room…</p>
      {[58, 34, 71, 46, 62].map((width, i) => (
        <span key={width} className="loading-row" data-own={i === 2} data-width={width} />
      ))}
    </div>
  );
}

/** Three cells of a log, as on the strips of Home. */
function Cells({ kind }: { readonly kind: 'missing' | 'replay' }) {
  return (
    <span className="standin-cells" aria-hidden="true">
      <span className="cell" data-kind="live" />
      <span className="cell" data-kind={kind} />
      <span className="cell" data-kind={kind} data-own={kind === 'replay'} />
    </span>
  );
}
