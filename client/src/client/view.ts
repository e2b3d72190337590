import type { RoomCursor } from './cursor.js';
import type { RoomlogError } from './error.js';
import { type HistoryQuery, type ReadPage, readPage } from './history.js';
import type { Value } from './readable.js';
import type { RequestNeeds } from './request.js';
import type { Timeline } from './timeline.js';
import type {
  HistoryOptions,
  HistoryPage,
  HistoryView,
  HistoryViewOptions,
  HistoryViewState,
  Message,
  Room,
  RoomEvent,
} from './types.js';

type Rows = readonly Message<unknown>[];

/** What reading needs of its room. */
export interface ViewNeeds {
  requests: RequestNeeds;
  room: Room<unknown>;
  cursor: RoomCursor;
  log: Timeline;
}

const read = ({ requests, room }: ViewNeeds, query: HistoryQuery) => readPage(requests, room.id, query);

/** Reads what lies before the window into it, unless that is another by then. Rejects with a RoomlogError. */
export async function loadOlder(needs: ViewNeeds, limit: number): Promise<void> {
  const { cursor, log } = needs;
  const { epoch } = cursor;
  const page = await read(needs, { before: log.base + 1, limit });
  if (page.epoch !== epoch || epoch !== cursor.epoch) return;
  cursor.floor = page.floor;
  log.prepend(page);
}

/** Reads a stretch of history. Rejects with a RoomlogError. */
export async function readHistory(
  needs: ViewNeeds,
  options: HistoryOptions = {},
): Promise<HistoryPage<unknown>> {
  const { after, limit } = options;
  const page = await read(needs, queryOf(options));
  const forward = after !== undefined;
  return {
    // Behind a position events are as they were sent (CHG-9): what is known of their changes is not in them.
    items: shown(needs, needs.log.rows(forward ? { ...page, head: 0 } : page)),
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
  return new View(await read(needs, queryOf(options)), needs, max);
}

/** Without those that were deleted, unless they are asked for; the same array where there are none. */
function shown({ log: { tombstones } }: ViewNeeds, rows: Rows): Rows {
  return tombstones || !rows.some(({ deleted }) => deleted) ? rows : rows.filter(({ deleted }) => !deleted);
}

function queryOf({ before, after, around, limit }: HistoryOptions): HistoryQuery {
  const newest = after === undefined && before === undefined && around === undefined;
  return { before: newest ? Number.MAX_SAFE_INTEGER : before, after, around, limit };
}

/** A stretch of history that grows at either end, and gives up at the other what is too much. */
class View implements HistoryView<unknown> {
  readonly list: Value<Rows>;
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
    const { room, requests } = needs;
    this.list = new requests.core.Value(shown(needs, needs.log.rows(page)));
    // The room outlives the view, and nobody says when a view is no longer looked at.
    const view = new WeakRef(this);
    const stop = room.on('event', event => {
      const alive = view.deref();
      if (alive) alive.#change(event);
      else stop();
    });
    this.state = new requests.core.Value(this.#snapshot(false, undefined));
  }

  loadOlder(limit = 50): Promise<void> {
    return this.#load(
      () => (this.#prev >= this.#floor ? { before: this.#prev + 1, limit } : undefined),
      page => {
        const max = this.#max;
        const list = [...shown(this.#needs, this.#needs.log.rows(page)), ...this.list.get()];
        this.#prev = page.prev;
        // The end that is given up begins anew behind its last message, whatever other events lay there.
        if (list.length > max) this.#seq = list[max - 1]?.seq ?? this.#seq;
        this.list.set(list.slice(0, max));
      },
    );
  }

  loadNewer(limit = 50): Promise<void> {
    return this.#load(
      // Backwards from where it is to end, since that is read as present content (CHG-9). Near the head some of it is here already.
      () => ({ before: this.#seq + limit + 1, limit }),
      page => {
        const max = this.#max;
        const more = shown(this.#needs, this.#needs.log.rows(page)).filter(
          ({ seq }) => (seq as number) > this.#seq,
        );
        const list = [...this.list.get(), ...more];
        this.#seq = page.seq;
        if (list.length > max) this.#prev = (list[list.length - max]?.seq ?? 1) - 1;
        this.list.set(list.slice(-max));
      },
    );
  }

  /** What changes a message shows here too. */
  #change(event: RoomEvent): void {
    if (event.target !== undefined || event.type === 'erase') {
      this.list.set(shown(this.#needs, this.#needs.log.apply(this.list.get(), event)));
    }
  }

  #load(query: () => Record<string, string | number> | undefined, take: (page: ReadPage) => void) {
    const load = this.#work.then(async () => {
      const asked = query();
      if (!asked) return;
      this.state.set(this.#snapshot(true, undefined));
      try {
        const page = await read(this.#needs, asked);
        if (page.epoch !== this.#epoch)
          throw this.#needs.requests.core.localError(
            'reset',
            'The history of this room is another now.',
            false,
          );
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
      meetsLive: this.#seq >= this.#needs.log.base,
      loading,
      error,
    };
  }
}
