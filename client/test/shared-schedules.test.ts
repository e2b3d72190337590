import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Client, createClient, type Room, type SendHandle } from '../src/index.js';
import { FakeLog, TOKEN } from './fake/http.js';
import { FakeNetwork } from './fake/socket.js';
import { type FakeTab, FakeTabs, type NoteFault } from './fake/tabs.js';

// As fallback-schedules.test.ts, with up to four tabs that share a feed: they come and go, freeze and are cut, and the notes
// between them are lost, repeated and late.

const TABS = 4;

type Action =
  | { do: 'send' | 'other'; tab: number; times: number }
  | { do: 'open' | 'close' | 'crash' | 'cut' | 'freeze' | 'thaw'; tab: number }
  | { do: 'note'; faults: NoteFault[] }
  | { do: 'latency'; tab: number; ms: number[] }
  | { do: 'restore'; lost: number };

const tab = fc.integer({ min: 0, max: TABS - 1 });
const faults: fc.Arbitrary<Action>[] = [
  fc.record({
    do: fc.constantFrom('send' as const, 'other' as const),
    tab,
    times: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({
    do: fc.constantFrom(
      'open' as const,
      'close' as const,
      'crash' as const,
      'cut' as const,
      'freeze' as const,
      'thaw' as const,
    ),
    tab,
  }),
  fc.record({
    do: fc.constant('note' as const),
    faults: fc.array(fc.constantFrom('lost' as const, 'twice' as const, 'late' as const), { maxLength: 6 }),
  }),
  fc.record({
    do: fc.constant('latency' as const),
    tab,
    ms: fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 5 }),
  }),
];
const restores: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('restore' as const),
  lost: fc.integer({ min: 0, max: 5 }),
});

const schedule = (actions: fc.Arbitrary<Action>[]) =>
  fc.array(fc.record({ after: fc.integer({ min: 0, max: 8_000 }), action: fc.oneof(...actions) }), {
    minLength: 1,
    maxLength: 40,
  });

interface Opened {
  tab: FakeTab;
  client: Client;
  room: Room;
  seen: number[];
  handles: SendHandle[];
}

/** Opens a tab whose client follows the room from its beginning. */
function open(tabs: FakeTabs): Opened {
  const tab = tabs.open();
  const { WebSocket } = new FakeNetwork();
  const client = createClient({ url: tab.origin, token: TOKEN, transports: ['sse'], WebSocket });
  const room = client.room('chat:a', { position: '0' });
  const seen: number[] = [];
  room.on('event', e => seen.push(e.seq));
  room.attach();
  return { tab, client, room, seen, handles: [] };
}

async function run(steps: { after: number; action: Action }[]) {
  vi.useFakeTimers();
  const server = new FakeLog();
  const tabs = new FakeTabs(server);
  tabs.stub();
  const opened: (Opened | undefined)[] = [open(tabs), open(tabs)];
  let others = 0;
  let sent = 0;
  const act = async (action: Action) => {
    if (action.do === 'restore') {
      server.restore(action.lost);
      return;
    }
    if (action.do === 'note') {
      tabs.faults.push(...action.faults);
      return;
    }
    if (action.do === 'other') {
      for (let i = 0; i < action.times; i++) server.append('u2', `other-${++others}`, { text: `o${others}` });
      return;
    }
    const there = opened[action.tab];
    if (action.do === 'open') opened[action.tab] ??= open(tabs);
    if (!there) return;
    const { tab, client, room, handles } = there;
    if (action.do === 'send') {
      for (let i = 0; i < action.times; i++) handles.push(room.messages.send({ text: `s${++sent}` }));
    } else if (action.do === 'close') {
      tab.thaw();
      for (const handle of handles) handle.catch(() => {});
      opened[action.tab] = undefined;
      await client.close();
    } else if (action.do === 'crash') {
      for (const handle of handles) handle.catch(() => {});
      opened[action.tab] = undefined;
      tab.freeze(); // not a word
      await client.close();
      tab.die();
    } else if (action.do === 'cut') {
      for (const stream of [...tab.http.streams]) stream.cut();
    } else if (action.do === 'freeze') tab.freeze();
    else if (action.do === 'thaw') tab.thaw();
    else if (action.do === 'latency') {
      let n = 0;
      tab.http.latencyMs = () => action.ms[n++ % action.ms.length] as number;
    }
  };
  for (const { after, action } of steps) {
    await vi.advanceTimersByTimeAsync(after);
    await act(action);
  }
  tabs.faults.length = 0;
  for (const each of opened) {
    if (!each) continue;
    each.tab.http.latencyMs = () => 5;
    each.tab.thaw();
  }
  await vi.advanceTimersByTimeAsync(90_000);
  const streams = tabs.streams;
  const left = opened
    .filter(each => each !== undefined)
    .map(({ client, room, seen, handles }) => ({
      seen,
      handles,
      list: room.messages.list.get().map(m => `${m.seq} ${m.tag}`),
      status: { ...room.status.get(), pending: client.status.get().pendingSends },
    }));
  for (const each of opened) await each?.client.close();
  return { server, left, streams };
}

const seed = Number(process.env.ROOMLOG_SEED ?? Date.now() % 2 ** 31);
const runs = Number(process.env.ROOMLOG_RUNS ?? 60);

describe(`random schedules over tabs that share, ROOMLOG_SEED=${seed}`, () => {
  beforeAll(async () => {
    await Promise.all([
      import('../src/transport/fallback.js'),
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
    ]);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('in every tab the list equals the log, without a gap that was seen, and one stream is left (PAGE-3, PAGE-4)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule(faults), async steps => {
        const { server, left, streams } = await run(steps);
        const log = server.log.map(e => `${e.seq} ${e.tag}`);
        for (const { list, seen, handles, status } of left) {
          expect(status).toMatchObject({ state: 'live', seq: server.head, behind: 0, pending: 0, gaps: 0 });
          expect(list).toEqual(log);
          expect(seen).toEqual(server.log.map(e => e.seq));
          const own = new Set(handles.map(handle => handle.tag));
          expect(server.log.map(e => e.tag).filter(tag => own.has(tag))).toEqual([...own]);
        }
        expect(streams).toBe(left.length > 0 ? 1 : 0);
      }),
      { seed, numRuns: runs },
    );
  });

  it('with stores restored from backups the list is the log of the last numbering, never a mix (RESET-3)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule([...faults, restores]), async steps => {
        const { server, left, streams } = await run(steps);
        const log = server.log.map(e => `${e.seq} ${e.tag}`);
        for (const { list, status } of left) {
          expect(status).toMatchObject({ state: 'live', seq: server.head, pending: 0 });
          expect(list).toEqual(log.slice(log.length - list.length));
        }
        expect(streams).toBe(left.length > 0 ? 1 : 0);
      }),
      { seed, numRuns: runs },
    );
  });
});
