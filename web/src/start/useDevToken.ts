import { useEffect, useState } from 'react';
import { devToken } from '../guest/devapi.ts';

/** A token to show, or why there is none. */
export type ShownToken = { readonly token: string } | { readonly error: string } | null;

/** The part of a token's life after which a fresh one is shown, so that what is copied lasts a while. */
const freshPart = 0.5;

/** A dev token for `user`, replaced in time; null while it is asked for. */
export function useDevToken(user: string): ShownToken {
  const [shown, setShown] = useState<ShownToken>(null);
  useEffect(() => {
    const stopping = new AbortController();
    let renewal: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      try {
        const { token, expiresAt } = await devToken(user, stopping.signal);
        setShown({ token });
        renewal = setTimeout(ask, Math.min((expiresAt - Date.now()) * freshPart, 2 ** 31 - 1));
      } catch (cause) {
        if (!stopping.signal.aborted)
          setShown({ error: cause instanceof Error ? cause.message : String(cause) });
      }
    };
    void ask();
    return () => {
      stopping.abort();
      clearTimeout(renewal);
    };
  }, [user]);
  return shown;
}
