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
  // After a reset it is not known how many were missed: only the latest are here.
  const news = reset ? resetWords(reset) : caughtUp > 0 && caughtUpWords(caughtUp);
  if (!news) return null;
  return (
    <div className="banner" data-tone="news">
      <p>{news}</p>
      {!reset && caughtUp > 0 && (
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
      return 'You were far behind. These are the latest messages; earlier ones load as you scroll up.';
    case 'pruned':
      return 'Part of what you missed is no longer kept. These are the messages from then on.';
    default:
      return 'This room has another history than before. These are its messages.';
  }
}

/** What there is to tell beside the connection. */
export interface Told {
  /** Why the history that was shown gave way to the latest page. */
  readonly reset: ResetReason | null;
  readonly caughtUp: number;
  /** How many new messages are out of sight. */
  readonly below: number;
}

/** What is read aloud, through the one polite region: never the seconds of a countdown. */
export function spokenWords(
  link: Link,
  { wasLost, reset, caughtUp, below }: Told & { readonly wasLost: boolean },
): string {
  if (link.state === 'offline') return 'You are offline.';
  if (link.state === 'failed') return 'The connection has ended.';
  if (link.late) return 'Connection lost. Reconnecting.';
  if (reset) return resetWords(reset);
  if (caughtUp > 0) return caughtUpWords(caughtUp);
  if (below > 0) return `${count(below, 'new message')} below.`;
  return wasLost && link.state === 'connected' ? 'Connected again.' : '';
}
