import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createClient, newTag, type SendHandle } from '../src/index.js';
import { FakeServer, type PageFault, type Verdict } from './fake/server.js';
import { FakeNetwork } from './fake/socket.js';

type Action =
  | { do: 'send' | 'other'; times: number }
  | { do: 'drop' | 'hole' | 'heal' | 'detach' }
  | { do: 'page'; fault: PageFault }
  | { do: 'verdict'; verdict: Verdict; times: number }
  | { do: 'latency'; ms: number }
  | { do: 'restore'; lost: number };

interface Timed {
  after: number;
  action: Action;
}

const times = fc.integer({ min: 1, max: 8 });
const faults: fc.Arbitrary<Action>[] = [
  fc.record({ do: fc.constantFrom('send' as const, 'other' as const), times }),
  fc.record({ do: fc.constantFrom('send' as const), times }),
  fc.record({ do: fc.constantFrom('drop' as const, 'hole' as const, 'heal' as const, 'detach' as const) }),
  fc.record({
    do: fc.constant('page' as const),
    fault: fc.constantFrom<PageFault>('lost', 'twice', 'with the one before'),
  }),
  fc.record({
    do: fc.constant('verdict' as const),
    verdict: fc.constantFrom<Verdict>('rate_limited', 'unknown-stored', 'unknown-lost'),
    times,
  }),
  fc.record({ do: fc.constant('latency' as const), ms: fc.integer({ min: 0, max: 400 }) }),
];
const restores: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('restore' as const),
  lost: fc.integer({ min: 0, max: 5 }),
});

const schedule = (actions: fc.Arbitrary<Action>[]): fc.Arbitrary<Timed[]> =>
  fc.array(fc.record({ after: fc.integer({ min: 0, max: 2_500 }), action: fc.oneof(...actions) }), {
    minLength: 1,
    maxLength: 40,
  });

/** One client and one server under a schedule; afterwards all is healed and left alone until it is quiet. */
async function run(steps: Timed[]) {
  vi.useFakeTimers();
  const network = new FakeNetwork();
  const server = new FakeServer(network);
  const client = createClient({
    url: 'http://h',
    token: server.test.token('u1'),
    WebSocket: network.WebSocket,
  });
  const room = client.room('chat:a', { position: '0' });
  const seen: number[] = [];
  const resets: string[] = [];
  room.on('event', e => seen.push(e.seq));
  room.on('reset', reset => resets.push(reset.reason));
  let detach = room.attach();
  const handles: SendHandle[] = [];
  let others = 0;
  const act = async (action: Action) => {
    if (action.do === 'send') {
      for (let i = 0; i < action.times; i++) handles.push(room.messages.send({ text: `s${handles.length}` }));
    } else if (action.do === 'other') {
      for (let i = 0; i < action.times; i++) server.append('u2', newTag(), { text: `o${++others}` });
    } else if (action.do === 'drop') server.test.network.cut();
    else if (action.do === 'hole') server.test.network.blackhole();
    else if (action.do === 'heal') server.heal();
    else if (action.do === 'page') server.pageFaults.push(action.fault);
    else if (action.do === 'latency') server.latency = action.ms;
    else if (action.do === 'restore') server.restore(action.lost);
    else if (action.do === 'verdict') server.judge(action.verdict, action.times);
    else {
      detach();
      await vi.advanceTimersByTimeAsync(1);
      detach = room.attach();
    }
  };
  for (const { after, action } of steps) {
    await vi.advanceTimersByTimeAsync(after);
    await act(action);
  }
  server.calm();
  server.append('u2', newTag(), { text: 'last' }); // what a lost last page left undelivered shows by the next
  await vi.advanceTimersByTimeAsync(120_000);
  const list = room.messages.list.get();
  const status = { ...room.status.get(), pending: client.status.get().pendingSends };
  await client.close();
  await vi.advanceTimersByTimeAsync(10); // what is on its way arrives, and a last ping
  expect(vi.getTimerCount(), 'timers left behind').toBe(0);
  return { server, handles, seen, resets, list, status };
}

const seed = Number(process.env.ROOMLOG_SEED ?? Date.now() % 2 ** 31);
const runs = Number(process.env.ROOMLOG_RUNS ?? 150);

describe(`random schedules, ROOMLOG_SEED=${seed}`, () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('the list equals the log, and every send is in it once and in order (PAGE-3, PAGE-4, SEND-7, SEND-8, TAG-3)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule(faults), async steps => {
        const { server, handles, seen, resets, list, status } = await run(steps);
        expect(status).toMatchObject({ state: 'live', seq: server.head, behind: 0, pending: 0 });
        expect(list.map(m => `${m.seq} ${m.tag}`)).toEqual(server.log.map(e => `${e.seq} ${e.tag}`));
        expect(seen).toEqual(server.log.map(e => e.seq));
        expect(resets).toEqual([]);
        const own = server.log.filter(e => e.author === 'u1').map(e => e.tag);
        expect(own).toEqual(handles.map(handle => handle.tag));
        const settled = await Promise.all(handles);
        expect(settled.map(m => m.seq)).toEqual(server.log.filter(e => e.author === 'u1').map(e => e.seq));
      }),
      { seed, numRuns: runs },
    );
  });

  it('with stores restored from backups the list is the log of the last numbering, never a mix (RESET-3)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule([...faults, restores]), async steps => {
        const { server, list, status } = await run(steps);
        expect(status).toMatchObject({ state: 'live', seq: server.head, pending: 0 });
        const log = server.log.map(e => `${e.seq} ${e.tag}`);
        expect(list.map(m => `${m.seq} ${m.tag}`)).toEqual(log.slice(log.length - list.length));
        expect(list.length).toBeGreaterThanOrEqual(Math.min(log.length, 1));
      }),
      { seed, numRuns: runs },
    );
  });
});
