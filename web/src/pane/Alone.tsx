import type { ReactNode } from 'react';
import { useConnection, usePresence } from 'roomlog/react';

/**
 * Says that there is nobody else, once that is known, and leads to a second window.
 * @param children what to do in both
 */
export function Alone({ children }: { readonly children: ReactNode }) {
  const alone = usePresence(({ occupancy: { stale, users } }) => !stale && users <= 1);
  const { state } = useConnection();
  if (!alone || state !== 'connected') return null;
  const room = new URLSearchParams(location.search).get('room');
  return (
    <p className="desk-alone">
      You are alone here.{' '}
      <a
        href={location.pathname + (room ? `?room=${encodeURIComponent(room)}` : '')}
        target="_blank"
        rel="noopener"
      >
        Open a second window
      </a>{' '}
      {children}
    </p>
  );
}
