import { claims } from './exchange.js';
import type { FeedHost } from './link.js';

/** Web Locks are there in secure contexts only. Node has both too, but no tabs, and no limit of connections. */
export function hasTabs(): boolean {
  const { location, navigator, BroadcastChannel } = globalThis as Partial<typeof globalThis>;
  return Boolean(location && navigator?.locks && BroadcastChannel);
}

/** Who shares: one API, one user, the same grants. Undefined where the token does not say who that is. */
export function shareName(kind: string, { api, token }: FeedHost): string | undefined {
  const { sub, grants } = claims(token);
  return sub ? `roomlog:${kind}:${JSON.stringify([api, sub, grants])}` : undefined;
}

/** Whether a request to the API, such as the one that checked the token, is known to have gone over HTTP/2 or 3. */
export function multiplexed(api: string): boolean {
  const entries = (performance.getEntriesByType?.('resource') ?? []) as PerformanceResourceTiming[];
  return entries.some(
    ({ name, nextHopProtocol }) => name.startsWith(`${api}/`) && /^h[23]/.test(nextHopProtocol),
  );
}
