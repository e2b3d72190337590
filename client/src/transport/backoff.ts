/** How long to wait between attempts, in milliseconds. */
export interface BackoffOptions {
  /** The bound of the first wait, which doubles with each attempt. 250. */
  minMs?: number;
  /** The bound that no wait exceeds, unless the server asks for more. 20,000. */
  maxMs?: number;
}

/**
 * Full jitter: a random time from 0 to min(maxMs, minMs · 2^attempt) (CLOSE-8), so that clients cut at one
 * moment do not come back at one moment.
 */
export function jitter(attempt: number, { minMs = 250, maxMs = 20_000 }: BackoffOptions = {}): number {
  return Math.random() * Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
}
