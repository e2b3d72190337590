import type { WireEvent } from '../protocol/frames.js';
import { localError, type RoomlogError } from './error.js';
import type { HistoryQuery, ReadPage } from './history.js';
import { Value } from './readable.js';
import { MESSAGE, toMessage } from './timeline.js';
import type {
  HistoryOptions,
  HistoryPage,
  HistoryView,
  HistoryViewOptions,
  HistoryViewState,
  Message,
} from './types.js';

/** What a view needs of its room. */
export interface ViewNeeds {
  /** Reads a page of the room's history. */
  read(query: HistoryQuery): Promise<ReadPage>;
  own(event: WireEvent): boolean;
  /** The seq behind which the live window begins. */
  liveFrom(): number;
}

/** Reads a stretch of history. Rejects with a RoomlogError. */
export async function readHistory(
  needs: ViewNeeds,
  options: HistoryOptions = {},
): Promise<HistoryPage<unknown>> {
  const { after, limit } = options;
  const page = await needs.read(queryOf(options));
  const forward = after !== undefined;
  return {
    items: messagesOf(page, needs),
    hasMore: forward ? page.seq < page.head : page.prev >= page.floor,
    next: () =>
      readHistory(needs, {
        ...(forward ? { after: page.position } : { before: page.prev + 1 }),
        ...(limit && { limit }),
      }),
  };
}

/** Opens a view. Rejects with a RoomlogError. */
export async function openView(
  needs: ViewNeeds,
  { max = 500, ...options }: HistoryViewOptions = {},
): Promise<HistoryView<unknown>> {
  return new View(await needs.read(queryOf(options)), needs, max);
}

function queryOf({ before, after, around, limit }: HistoryOptions): HistoryQuery {
  const newest = after === undefined && before === undefined && around === undefined;
  return { before: newest ? Number.MAX_SAFE_INTEGER : before, after, around, limit };
}

function messagesOf(page: ReadPage, { own }: ViewNeeds): Message<unknown>[] {
  return page.events.filter(event => event.type === MESSAGE).map(event => toMessage(event, own(event)));
}

/** A stretch of history that grows at either end, and gives up at the other what is too much. */
class View implements HistoryView<unknown> {
  readonly list: Value<readonly Message<unknown>[]>;
  readonly state: Value<HistoryViewState>;

  readonly #needs: ViewNeeds;
  /** How many messages are held. */
  readonly #max: number;
  readonly #epoch: string;
  /** It covers `(prev, seq]`. */
  #prev: number;
  #seq: number;
  #floor: number;
  #head: number;
  /** Loads come one after the other: each begins where the one before it ended. */
  #work: Promise<unknown> = Promise.resolve();

  constructor(page: ReadPage, needs: ViewNeeds, max: number) {
    this.#needs = needs;
    this.#max = max;
    this.#epoch = page.epoch;
    this.#prev = page.prev;
    this.#seq = page.seq;
    this.#floor = page.floor;
    this.#head = page.head;
    this.list = new Value(messagesOf(page, this.#needs));
    this.state = new Value(this.#snapshot(false, undefined));
  }

  loadOlder(limit = 50): Promise<void> {
    return this.#load(
      () => (this.#prev >= this.#floor ? { before: this.#prev + 1, limit } : undefined),
      page => {
        const max = this.#max;
        const list = [...messagesOf(page, this.#needs), ...this.list.get()];
        this.#prev = page.prev;
        // The end that is given up begins anew behind its last message, whatever other events lay there.
        if (list.length > max) this.#seq = list[max - 1]?.seq ?? this.#seq;
        this.list.set(list.slice(0, max));
      },
    );
  }

  loadNewer(limit = 50): Promise<void> {
    return this.#load(
      // Without a mark: the end may be one that no page had.
      () => ({ after: `${this.#epoch}:${this.#seq}`, limit }),
      page => {
        const max = this.#max;
        const list = [...this.list.get(), ...messagesOf(page, this.#needs)];
        this.#seq = page.seq;
        if (list.length > max) this.#prev = (list[list.length - max]?.seq ?? 1) - 1;
        this.list.set(list.slice(-max));
      },
    );
  }

  #load(query: () => Record<string, string | number> | undefined, take: (page: ReadPage) => void) {
    const load = this.#work.then(async () => {
      const asked = query();
      if (!asked) return;
      this.state.set(this.#snapshot(true, undefined));
      try {
        const page = await this.#needs.read(asked);
        if (page.epoch !== this.#epoch)
          throw localError('reset', 'The history of this room is another now.', false);
        this.#floor = page.floor;
        this.#head = page.head;
        take(page);
      } catch (error) {
        this.state.set(this.#snapshot(false, error as RoomlogError));
        throw error;
      }
      this.state.set(this.#snapshot(false, undefined));
    });
    this.#work = load.catch(() => {}); // told to who loads, and by `state`
    return load;
  }

  #snapshot(loading: boolean, error: RoomlogError | undefined): HistoryViewState {
    return {
      hasOlder: this.#prev >= this.#floor,
      hasNewer: this.#seq < this.#head,
      meetsLive: this.#seq >= this.#needs.liveFrom(),
      loading,
      error,
    };
  }
}
