import type { Chat } from './chat.ts';

/** What a chat has shown for however short a time, each in the order in which it came. */
export interface Noted {
  /** The sentences of its banner. */
  readonly banners: readonly string[];
  /** Those of them that came when the connection had not been away for five seconds, as the page's own clock has it. */
  readonly early: readonly string[];
  /** The sentences that were read aloud. */
  readonly said: readonly string[];
  /** The states of its connection. */
  readonly states: readonly string[];
  /** How each message was delivered, by its text. */
  readonly deliveries: Readonly<Record<string, readonly string[]>>;
}

/** Notes what the page shows from now on, until it is reloaded; the returned function tells it. A look now and then might miss it. */
export async function note(chat: Chat): Promise<() => Promise<Noted>> {
  const noted = await chat.page.evaluateHandle(() => {
    const noted = {
      banners: [] as string[],
      early: [] as string[],
      said: [] as string[],
      states: [] as string[],
      deliveries: {} as Record<string, string[]>,
    };
    const add = (to: string[], what: string | null | undefined) =>
      what && what !== to.at(-1) && to.push(what);
    let goneAt = Number.POSITIVE_INFINITY; // what comes though it was never away is early
    const look = () => {
      const state = document.querySelector('.signal')?.getAttribute('data-state');
      const before = noted.states.at(-1) ?? 'connected';
      if (before === 'connected' && state !== 'connected') goneAt = performance.now();
      add(noted.states, state);
      const banner = document.querySelector('.banner p')?.textContent;
      if (add(noted.banners, banner) && performance.now() - goneAt < 4_990) noted.early.push(String(banner));
      add(noted.said, document.querySelector('[role=status]')?.textContent);
      for (const row of document.querySelectorAll('.bubble-row')) {
        const text = row.querySelector('.bubble-text')?.textContent ?? '';
        noted.deliveries[text] ??= [];
        add(noted.deliveries[text], row.getAttribute('data-delivery'));
      }
    };
    new MutationObserver(look).observe(document.body, {
      attributeFilter: ['data-state', 'data-delivery'],
      characterData: true,
      childList: true,
      subtree: true,
    });
    return noted;
  });
  return () => noted.jsonValue();
}
