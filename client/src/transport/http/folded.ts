import type { Teller } from './asides.js';
import type { Aside, Asides, FeedHost } from './link.js';
import type { Command, SourceHost } from './shared.js';

// Several tabs as the one connection that they are to others.

/** What is shown beside the logs. `me` has no room. */
export type SideFrame = {
  op: 'presence' | 'signals' | 'receipts' | 'marked' | 'part' | 'me';
  room?: string;
  set?: readonly unknown[];
  gone?: readonly unknown[];
};

/** What the tabs of one feed ask and show beside the logs, as if they were one, and what tells their stream. */
export class SharedSides {
  /** By room. */
  folded: Asides = new Map();
  /** What a URL says of it. */
  asked: [name: string, value: string][] = [];
  #isBare = false;
  #connection = '';
  #teller: (() => Promise<Teller>) | undefined;

  /** Takes what each tab asks and shows beside the rooms that are carried; true where a URL asks for something else than before. */
  fold(tabs: Iterable<Asides>, carried: ReadonlyMap<string, unknown>): boolean {
    const folded = new Map<string, Aside>();
    for (const asides of tabs)
      for (const [room, aside] of asides) {
        const before = folded.get(room);
        if (room === '' || carried.has(room)) folded.set(room, before ? both(before, aside) : aside);
      }
    this.folded = folded;
    const before = JSON.stringify(this.asked);
    this.asked = this.#isBare ? [] : asksOfUrl(folded);
    return JSON.stringify(this.asked) !== before;
  }

  /** A stream has begun, with nothing said on it. */
  opened(host: SourceHost, connection: string, command: Command, over: AbortSignal): void {
    this.#connection = connection;
    let teller: Promise<Teller> | undefined;
    this.#teller = () => {
      teller ??= import('./asides.js').then(({ Teller }) => new Teller(host, command, over));
      return teller;
    };
    this.say();
  }

  /** Tells the stream what is shown, where there is anything to tell, and has it give `again` what somebody lacks. False where there is no stream. */
  say(again?: readonly string[]): boolean {
    if (this.asked.length > 0)
      this.#teller?.()
        .then(teller => teller.due(again))
        .catch(() => {});
    return this.#teller !== undefined;
  }

  /** True where a refusal is of what was asked for, which is nothing from now on. */
  goBare({ field }: Record<string, unknown>): boolean {
    const goes = this.asked.some(([name]) => name === field);
    if (goes) this.asked = [];
    this.#isBare ||= goes;
    return goes;
  }

  /**
   * A link outlives its streams, and tabs share them: to each client the connection has the name that it was welcomed with, none, whichever
   * stream it is.
   */
  named({ set = [], gone = [], ...frame }: SideFrame): SideFrame {
    const own = this.#connection;
    const isOwn = (value: unknown) => Object(value).connection === own;
    const isOwnKey = (key: unknown): key is string => String(key).startsWith(`${own} `);
    return {
      ...frame,
      set: set.map(value => (isOwn(value) ? { ...Object(value), connection: '' } : value)),
      gone: gone.map(key => (isOwnKey(key) ? key.slice(own.length) : key)),
    };
  }

  /** The feed has ended. */
  drop(): void {
    this.asked = [];
    this.#teller = undefined;
  }
}

/** What a tab asks and shows beside the rooms that it follows. */
export function ownAsides({ rooms, asides }: FeedHost): Map<string, Aside> {
  return new Map([...asides].filter(([room]) => room === '' || rooms.has(room)));
}

/** The sides that are asked for, as `SIDE ROOM`. */
export const asksOf = (asides: Asides) =>
  [...asides].flatMap(([room, aside]) => aside.with.map(side => `${side} ${room}`));

/** Two tabs as one. Who does not look at who is there cannot tell whether somebody looks at the page. */
function both(a: Aside, b: Aside): Aside {
  const shown = new Map(a.shown);
  for (const [name, said] of b.shown) if (said.at > (shown.get(name)?.at ?? 0)) shown.set(name, said);
  return {
    with: [...new Set([...a.with, ...b.with])],
    present: a.present || b.present,
    idle: (a.idle || !a.present) && (b.idle || !b.present),
    shown,
  };
}

/** What a URL asks for beside the logs. */
function asksOfUrl(asides: Asides): [name: string, value: string][] {
  const all = new Set([...asides.values()].flatMap(aside => aside.with));
  const me = all.delete('me');
  const present = [...asides].filter(([, aside]) => aside.present).map(([room]) => room);
  const sides: [string, string][] = [];
  if (all.size > 0)
    sides.push(['with', [...all].sort().join()], ['present', present.sort().join() || 'false']);
  if (me) sides.push(['me', 'true']);
  return sides;
}
