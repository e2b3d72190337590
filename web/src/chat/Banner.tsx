import type { ConnectionStatus, ResetReason } from 'roomlog';
import { useClient, useConnection } from 'roomlog/react';
import { connectionWords, count } from '../model/words.ts';
import { useLate, useNow } from '../pane/hooks.ts';
import { Icon } from '../pane/Icon.tsx';

/** For how long a drop is nobody's business. */
const spareMs = 5_000;

/** A connection, and whether it has been away for longer than a reader is spared of. */
export type Link = ConnectionStatus & { retryNow(): void; readonly late: boolean };

/** How the connection is. */
export function useLink(): Link {
  const status = useConnection();
  const trying = status.state === 'connecting' || status.state === 'reconnecting';
  return { ...status, late: useLate(trying, spareMs) };
}

interface BannerProps {
  readonly link: Link;
  readonly caughtUp: number;
  readonly reset: ResetReason | null;
  readonly onShow: () => void;
  readonly onClose: () => void;
}

/** One sentence over the conversation about what stands between it and the truth; it moves nothing. */
export function Banner({ link, caughtUp, reset, onShow, onClose }: BannerProps) {
  const client = useClient();
  const now = useNow(link.late);
  const words = connectionWords(link, link.late, now);
  if (words.tone === 'waiting' || words.tone === 'over')
    return (
      <div className="banner" data-tone={words.tone} data-state={link.state}>
        <p>{words.text}</p>
        {words.canRetry && (
          <button type="button" className="quiet-button" onClick={() => link.retryNow()}>
            Retry now
          </button>
        )}
        {link.state === 'failed' && link.reason && <a href={link.reason.docs}>What this means</a>}
        {words.tone === 'over' && (
          <button
            type="button"
            className="quiet-button"
            onClick={() => void client.connect().catch(() => {})}
          >
            Connect again
          </button>
        )}
      </div>
    );
  const news = caughtUp > 0 ? caughtUpWords(caughtUp) : reset && resetWords(reset);
  if (!news) return null;
  return (
    <div className="banner" data-tone="news">
      <p>{news}</p>
      {caughtUp > 0 && (
        <button type="button" className="quiet-button" onClick={onShow}>
          Show
        </button>
      )}
      <button type="button" className="banner-close" onClick={onClose}>
        <Icon name="close" />
        <span className="unseen">Close</span>
      </button>
    </div>
  );
}

/** What is said when a lost connection is back. */
export function caughtUpWords(n: number): string {
  return `Caught up: ${count(n, 'new message')}`;
}

/** Why the history that was shown is not there any more (RESET-1). */
function resetWords(reason: ResetReason): string {
  switch (reason) {
    case 'too_far':
      return 'You were away for long. These are the latest messages.';
    case 'pruned':
      return 'Some of the history is no longer kept. These are the messages from then on.';
    default:
      return 'This room has another history than before. These are its messages.';
  }
}

/** What is read aloud, through the one polite region: never the seconds of a countdown. */
export function spokenWords(link: Link, wasLost: boolean, caughtUp: number, below: number): string {
  if (link.state === 'offline') return 'You are offline.';
  if (link.state === 'failed') return 'The connection has ended.';
  if (link.late) return 'Connection lost. Reconnecting.';
  if (caughtUp > 0) return caughtUpWords(caughtUp);
  if (below > 0) return `${count(below, 'new message')} below.`;
  return wasLost && link.state === 'connected' ? 'Connected again.' : '';
}
