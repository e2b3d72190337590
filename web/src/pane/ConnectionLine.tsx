import { useConnection } from 'roomlog/react';
import { connectionWords } from '../model/words.ts';
import { useLate, useNow } from './hooks.ts';

/** For how long a drop is nobody's business. */
const spareMs = 5_000;

/** One line of fixed height: how the guest is connected, and when it will be tried again. */
export function ConnectionLine() {
  const status = useConnection();
  const trying = status.state === 'connecting' || status.state === 'reconnecting';
  const late = useLate(trying, spareMs);
  const now = useNow(late);
  const words = connectionWords(status, late, now);
  return (
    <p className="connection" data-tone={words.tone} data-state={status.state}>
      <span className="connection-dot" aria-hidden="true" />
      <span className="connection-words">{words.text}</span>
      {words.canRetry && (
        <button type="button" className="quiet-button" onClick={() => status.retryNow()}>
          Retry now
        </button>
      )}
      {status.state === 'failed' && status.reason && <a href={status.reason.docs}>What this means</a>}
    </p>
  );
}
