import { useEffect, useState } from 'react';
import type { ConnectionState } from 'roomlog';
import { useConnection } from 'roomlog/react';
import { connectionWords } from '../model/words.ts';
import { useLate, useNow } from './hooks.ts';
import { LateSign, NodeSign, useSaidOnce } from './ServerSigns.tsx';

/** For how long a drop is nobody's business. */
const spareMs = 5_000;

/**
 * One line of fixed height: how the guest is connected and to which node, and when it will be tried again.
 * @param speaks that updates may be late is read aloud
 */
export function ConnectionLine({ speaks }: { readonly speaks: boolean }) {
  const status = useConnection();
  const trying = status.state === 'connecting' || status.state === 'reconnecting';
  const late = useLate(trying, spareMs);
  const now = useNow(late);
  const words = connectionWords(status, late, now);
  const isLate = status.degraded.length > 0;
  const aloud = useSaidOnce(isLate, useSpoken(late, status.state), speaks);
  return (
    <p className="connection" data-tone={words.tone} data-state={status.state} data-late={isLate}>
      <span className="connection-dot" aria-hidden="true" />
      <span className="unseen" aria-live="polite">
        {aloud}
      </span>
      {isLate ? (
        <LateSign />
      ) : (
        <span className="connection-words" title={words.text}>
          {words.text}
        </span>
      )}
      <NodeSign node={status.node} />
      {words.canRetry && (
        <button type="button" className="quiet-button" onClick={() => status.retryNow()}>
          Retry now
        </button>
      )}
      {status.state === 'failed' && status.reason && <a href={status.reason.docs}>What this means</a>}
    </p>
  );
}

/** What is read aloud: that the connection is lost, and that it is back. Never the seconds in between. */
function useSpoken(late: boolean, state: ConnectionState): string {
  const [wasLate, setWasLate] = useState(false);
  useEffect(() => {
    if (late) setWasLate(true);
  }, [late]);
  if (late) return 'Connection lost. Reconnecting.';
  return wasLate && state === 'connected' ? 'Connected again.' : '';
}
