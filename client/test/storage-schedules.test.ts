import { IDBFactory, IDBKeyRange } from 'fake-indexeddb';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Client, ClientStorage, Message } from '../src/index.js';
import { indexedDBStorage } from '../src/indexeddb/index.js';
import { createTestClock, createTestServer, type TestEvent } from '../src/testing/index.js';
import { FakeLocks } from './fake/locks.js';

// Two tabs of one user over one database, which are reloaded, closed and opened again in the middle of everything that a
// network and a server can do. In the end nothing is lost, nothing is there twice, and what was refused is kept.

type Action =
  | { do: 'send'; times: number; bad: boolean }
  | { do: 'other'; times: number }
  | { do: 'reload' | 'close' | 'older' | 'view' | 'retry' | 'discard' }
  | { do: 'cut' | 'hole' | 'offline' | 'heal' | 'reset' }
  | { do: 'lost-ack' | 'rate_limited' | 'unknown-stored' | 'unknown-lost'; times: number }
  | { do: 'delay'; ms: number }
  | { do: 'prune'; keep: number };

interface Step {
  after: number;
  tab: 0 | 1;
  action: Action;
}

const times = fc.integer({ min: 1, max: 5 });
const one = <const T extends string>(...words: T[]) => fc.record({ do: fc.constantFrom(...words) });
const some = <const T extends string>(...words: T[]) => fc.record({ do: fc.constantFrom(...words), times });
const actions: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('send'), times, bad: fc.constantFrom(false, false, true) }),
  },
  { weight: 2, arbitrary: some('other') },
  { weight: 4, arbitrary: one('reload', 'close', 'older', 'view', 'retry', 'discard') },
  { weight: 4, arbitrary: one('cut', 'hole', 'offline', 'heal') },
  { weight: 4, arbitrary: some('lost-ack', 'rate_limited', 'unknown-stored', 'unknown-lost') },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delay'), ms: fc.integer({ min: 0, max: 400 }) }) },
  { weight: 1, arbitrary: one('reset') },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('prune'), keep: fc.integer({ min: 0, max: 10 }) }) },
);
const schedule: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    after: fc.integer({ min: 0, max: 3_000 }),
    tab: fc.constantFrom(0 as const, 1 as const),
    action: actions,
  }),
  { minLength: 1, maxLength: 40 },
);

const ROOM = 'chat:a';
type Body = { text: string; bad?: boolean };

/** fake-indexeddb works in macrotasks: let it come to rest. */
async function rest(): Promise<void> {
  for (let i = 0; i < 40; i++) await new Promise(resolve => setImmediate(resolve));
}

const clock = () => createTestClock({ seed: 7 });

/** Everything that outlives a page: the server, the database, the locks. */
class World {
  readonly server = createTestServer();
  readonly time = clock();
  readonly locks = new FakeLocks();
  /** What the server has forgotten by retention. */
  readonly pruned: TestEvent[] = [];
  readonly discarded = new Set<string>();
  /** Tags by page, in the order of sending. */
  readonly good: string[][] = [];
  readonly bad = new Map<string, string>();
  readonly pages: Page[] = [];
  #sent = 0;

  constructor() {
    vi.stubGlobal('indexedDB', new IDBFactory());
    vi.stubGlobal('IDBKeyRange', IDBKeyRange);
    vi.stubGlobal('navigator', { locks: this.locks });
    this.server.network.delay(5);
    this.server.beforeAppend(({ data }) =>
      (data as Body).bad ? { code: 'refused', title: 'Be kind.' } : undefined,
    );
  }

  body(bad: boolean): Body {
    return { text: `t${++this.#sent}`, ...(bad && { bad }) };
  }

  async pass(ms: number): Promise<void> {
    await rest();
    for (let left = ms; left > 0; left -= 1_000) {
      await this.time.advance(Math.min(1_000, left));
      await rest();
    }
  }

  log(): TestEvent[] {
    return [...this.pruned, ...this.server.log(ROOM)];
  }
}

/** One page: its client, its part of the storage, and the tags that were sent on it. */
class Page {
  readonly client: Client;
  readonly tags: string[] = [];
  readonly #world: World;
  readonly #holders = new Set<string>();
  #isGone = false;

  constructor(world: World) {
    this.#world = world;
    world.good.push(this.tags);
    world.pages.push(this);
    const page = this;
    this.client = world.server.client({
      transports: ['websocket'],
      storage: this.#storage(),
      WebSocket: class extends world.server.WebSocket {
        override send(text: string): void {
          if (!page.#isGone) super.send(text);
        }
      },
    });
    this.room.attach();
  }

  get room() {
    return this.client.room<Body>(ROOM);
  }

  get list(): readonly Message<Body>[] {
    return this.room.messages.list.get();
  }

  /** The page is gone without a word: its locks are free, and nothing it does reaches anything. */
  crash(): void {
    this.#isGone = true;
    this.#world.pages.splice(this.#world.pages.indexOf(this), 1);
    this.#world.locks.crash(name => this.#holders.has(name));
    void this.client.close();
  }

  /** As IndexedDB of this page: which locks are its own is learned from the ids that it draws. */
  #storage(): ClientStorage {
    const inner = indexedDBStorage();
    return {
      windows: (owner, failed) => inner.windows(owner, failed),
      marks: (owner, failed) => inner.marks(owner, failed),
      sends: (owner, events) => {
        const drawn = vi.spyOn(crypto, 'getRandomValues');
        const box = inner.sends(owner, events);
        const hex = Buffer.from(drawn.mock.results[0]?.value as Uint8Array).toString('hex');
        drawn.mockRestore();
        this.#holders.add(`roomlog:sends:${hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')}`);
        return {
          ...{ adopt: () => box.adopt(), close: () => box.close() },
          put: send => this.#isGone || box.put(send),
          delete: (room, tag) => this.#isGone || box.delete(room, tag),
        };
      },
    };
  }
}

/** Messages that follow one another in the log, the whole of what lies between them. */
function expectStretch(list: readonly Message<Body>[], log: readonly TestEvent[]): void {
  const from = list[0]?.seq ?? 1;
  const there = list.map(message => `${message.seq} ${message.tag}`);
  const want = log.filter(({ seq }) => seq >= from).slice(0, list.length);
  expect(there).toEqual(want.map(({ seq, tag }) => `${seq} ${tag}`));
}

async function act(world: World, tab: Page | undefined, action: Action): Promise<void> {
  const { server } = world;
  const { network } = server;
  const calm = () => {
    network.restore();
    network.delay(5);
  };
  switch (action.do) {
    case 'send':
      for (let i = 0; tab && i < action.times; i++) {
        const body = world.body(action.bad);
        const { tag } = tab.room.messages.send(body);
        if (action.bad) world.bad.set(tag, body.text);
        else tab.tags.push(tag);
      }
      return rest(); // what is written is kept
    case 'other':
      for (let i = 0; i < action.times; i++) server.append(ROOM, { data: world.body(false) });
      return;
    case 'older':
      return void tab?.room.messages.loadOlder(3).catch(() => {});
    case 'view':
      if (tab) void walk(tab);
      return;
    case 'retry':
    case 'discard':
      for (const { tag, delivery } of tab?.list ?? []) {
        if (delivery !== 'failed') continue;
        if (action.do === 'retry') tab?.room.messages.retry(tag);
        else if (tab?.room.messages.discard(tag)) world.discarded.add(tag);
        break;
      }
      return rest();
    case 'cut':
      return network.cut();
    case 'hole':
      return network.blackhole();
    case 'offline':
      return network.offline();
    case 'heal':
      return calm();
    case 'delay':
      return network.delay(action.ms);
    case 'lost-ack':
      return network.dropAcks(action.times);
    case 'rate_limited':
      return server.refuse({ code: 'rate_limited', retryAfterMs: 20 }, action.times);
    case 'unknown-stored':
    case 'unknown-lost':
      return server.refuse({ code: 'outcome_unknown', stored: action.do === 'unknown-stored' }, action.times);
    case 'reset':
      return server.reset(ROOM);
    case 'prune': {
      const kept = server.log(ROOM);
      const gone = kept.slice(0, Math.max(0, kept.length - action.keep));
      world.pruned.push(...gone);
      return server.prune(ROOM, (gone.at(-1)?.seq ?? 0) + 1);
    }
  }
}

/** Opens a view and walks it; what it holds is a stretch of seqs without a hole, whatever fails. */
async function walk(page: Page): Promise<void> {
  try {
    const view = await page.room.messages.view({ around: 5, limit: 4, max: 9 });
    for (const step of ['loadOlder', 'loadNewer', 'loadNewer', 'loadOlder'] as const) {
      await view[step](3).catch(() => {});
      const seqs = view.list.get().map(({ seq }) => seq as number);
      expect(seqs).toEqual(seqs.map((_, i) => (seqs[0] as number) + i));
    }
  } catch (error) {
    if (!(error instanceof Error && error.name === 'RoomlogError')) throw error;
  }
}

async function run(steps: Step[]): Promise<void> {
  const world = new World();
  try {
    const tabs: (Page | undefined)[] = [new Page(world), new Page(world)];
    await world.pass(50);
    for (const { after, tab, action } of steps) {
      await world.pass(after);
      if (action.do === 'reload' || action.do === 'close') {
        const wasOpen = tabs[tab] !== undefined;
        tabs[tab]?.crash();
        tabs[tab] = action.do === 'reload' || !wasOpen ? new Page(world) : undefined;
        await rest();
      } else await act(world, tabs[tab], action);
    }
    world.server.network.restore();
    world.server.network.delay(5);
    world.server.accept();
    await world.pass(120_000);
    for (const page of [...world.pages]) {
      expectSettled(world, page);
      page.crash();
    }
    await rest();
    const last = new Page(world);
    await world.pass(5_000);
    expectSettled(world, last);
    const failed = last.list.filter(({ delivery }) => delivery === 'failed');
    const kept = [...world.bad].filter(([tag]) => !world.discarded.has(tag));
    expect(failed.map(m => `${m.tag} ${m.data.text} ${m.error?.message}`).sort()).toEqual(
      kept.map(([tag, text]) => `${tag} ${text} Be kind.`).sort(),
    );
    expectOnceAndInOrder(world);
    await world.server.close();
  } finally {
    world.time.restore();
    vi.unstubAllGlobals();
  }
}

/** The page is live, has nothing under way, and shows the log; behind it only what was refused. */
function expectSettled(world: World, page: Page): void {
  const log = world.log(); // what was pruned after it was shown stays on the page (RET-2)
  expect(page.room.status.get()).toMatchObject({ state: 'live', behind: 0 });
  expect(page.client.status.get().pendingSends).toBe(0);
  const stored = page.list.filter(({ delivery }) => delivery === 'sent');
  expect(page.list.slice(stored.length).every(({ delivery }) => delivery === 'failed')).toBe(true);
  const shown = log.filter(({ seq }) => seq >= (stored[0]?.seq ?? Number.POSITIVE_INFINITY));
  expectStretch(stored, log);
  expect(stored.length).toBe(shown.length);
  if (world.server.log(ROOM).length > 0) expect(stored.at(-1)?.seq).toBe(log.at(-1)?.seq);
}

function expectOnceAndInOrder(world: World): void {
  const own = world.log().filter(({ author }) => author === 'u1');
  const tags = own.map(({ tag }) => tag);
  expect([...tags].sort()).toEqual(world.good.flat().sort());
  for (const sent of world.good) {
    const mine = new Set(sent);
    expect(tags.filter(tag => mine.has(tag))).toEqual(sent);
  }
}

const seed = Number(process.env.ROOMLOG_SEED ?? Date.now() % 2 ** 31);
const runs = Number(process.env.ROOMLOG_RUNS ?? 60);

// What keeps is loaded when it is first needed, in time that is not faked.
await import('../src/client/kept.js');

describe(`random schedules of two tabs over one storage, ROOMLOG_SEED=${seed}`, () => {
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  it('every send is in the log once and in its order, every list is the log, every refusal is kept', async () => {
    await fc.assert(fc.asyncProperty(schedule, run), { seed, numRuns: runs });
  });
});
