import type { ConnectionStatus } from 'roomlog';

/** How a sentence about the connection should look: fine, not worth a look yet, worth one, over. */
export type Tone = 'good' | 'quiet' | 'waiting' | 'over';

/** A sentence about the connection, and whether trying at once makes sense. */
export interface ConnectionWords {
  readonly text: string;
  readonly tone: Tone;
  readonly canRetry: boolean;
}

/** The whole seconds until `at`, rounded up; 0 when it has passed. Both are epoch milliseconds. */
export function secondsUntil(at: number, now: number): number {
  return Math.max(0, Math.ceil((at - now) / 1000));
}

/** A span such as 0:07 or 12:30. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** `n` of something: plural('1 message') style, such as "1 message" or "3 messages". */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/**
 * Says how a pane is connected.
 * @param late the connection has been away for longer than a reader should be spared of it
 * @param now epoch milliseconds
 */
export function connectionWords(status: ConnectionStatus, late: boolean, now: number): ConnectionWords {
  switch (status.state) {
    case 'connected':
      return { text: 'Connected', tone: 'good', canRetry: false };
    case 'offline':
      return { text: offline(status.pendingSends), tone: 'waiting', canRetry: false };
    case 'failed':
      return {
        text: `Stopped. ${why(status.reason)}`,
        tone: 'over',
        canRetry: false,
      };
    case 'closed':
      return { text: 'Closed', tone: 'over', canRetry: false };
    case 'idle':
      return { text: 'Not connected yet', tone: 'quiet', canRetry: false };
    case 'connecting':
    case 'reconnecting':
      if (!late)
        return {
          text: status.state === 'connecting' ? 'Connecting…' : 'One moment…',
          tone: 'quiet',
          canRetry: false,
        };
      return { text: `Reconnecting… ${retrying(status.retryAt, now)}`, tone: 'waiting', canRetry: true };
  }
}

/** The innermost reason that is known: a token that was refused is why there is no connection. */
function why(reason: ConnectionStatus['reason']): string {
  const cause = reason?.cause instanceof Error ? reason.cause : reason;
  return cause?.message ?? 'The server refused this guest.';
}

function offline(pending: number): string {
  if (pending === 0) return 'You are offline.';
  return `You are offline. ${count(pending, 'message')} will be sent later.`;
}

function retrying(retryAt: number | undefined, now: number): string {
  const seconds = retryAt === undefined ? 0 : secondsUntil(retryAt, now);
  return seconds === 0 ? 'trying now' : `retrying in ${seconds} s`;
}

/** What passed a tunnel, once everything has. */
export function verdictWords(v: { others: number; own: number; missing: number }): string {
  const missing = v.missing === 0 ? 'nothing missing' : `${v.missing} missing`;
  return `Caught up: ${v.others} new, ${v.own} sent, ${missing}.`;
}
