import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SendHandle } from '../src/index.js';
import { createTestServer } from '../src/testing/index.js';

// As schedules.test.ts, with something in between that blocks upgrades, holds streams back and cuts, so that the client
// moves from transport to transport in the middle of it all.

type Action =
  | { do: 'send' | 'other'; times: number }
  | { do: 'cut' | 'detach' }
  | { do: 'blocked' | 'buffers' | 'down'; on: boolean }
  | { do: 'verdict'; verdict: 'rate_limited' | 'unknown-stored' | 'unknown-lost' | 'lost' }
  | { do: 'latency'; ms: number[] }
  | { do: 'restore'; lost: number };

const times = fc.integer({ min: 1, max: 8 });
const faults: fc.Arbitrary<Action>[] = [
  fc.record({ do: fc.constantFrom('send' as const, 'other' as const), times }),
  fc.record({ do: fc.constantFrom('send' as const), times }),
  fc.record({ do: fc.constantFrom('cut' as const, 'detach' as const) }),
  fc.record({
    do: fc.constantFrom('blocked' as const, 'buffers' as const, 'down' as const),
    on: fc.boolean(),
  }),
  fc.record({
    do: fc.constant('verdict' as const),
    verdict: fc.constantFrom(
      'rate_limited' as const,
      'unknown-stored' as const,
      'unknown-lost' as const,
      'lost' as const,
    ),
  }),
  fc.record({
    do: fc.constant('latency' as const),
    ms: fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 5 }),
  }),
];
const restores: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('restore' as const),
  lost: fc.integer({ min: 0, max: 5 }),
});

const schedule = (actions: fc.Arbitrary<Action>[]) =>
  fc.array(fc.record({ after: fc.integer({ min: 0, max: 4_000 }), action: fc.oneof(...actions) }), {
    minLength: 1,
    maxLength: 40,
  });

const used = new Set<string>();

async function run(steps: { after: number; action: Action }[]) {
  vi.useFakeTimers();
  const server = createTestServer();
  const { network } = server;
  const state = { blocked: true, buffers: false, down: false };
  let delay: () => number = () => 3;
  /** Puts the network into the state that is wanted; what has become impossible is cut. */
  const put = () => {
    network.restore();
    network.delay(delay);
    if (state.blocked) network.block('websocket');
    if (state.buffers) network.block('sse');
    if (state.down) network.offline();
  };
  put();
  const client = server.client();
  client.status.subscribe(() => used.add(String(client.status.get().transport)));
  const room = client.room('chat:a', { position: '0' });
  const seen: number[] = [];
  room.on('event', e => seen.push(e.seq));
  let detach = room.attach();
  const handles: SendHandle[] = [];
  let others = 0;
  const append = (text: string) => server.append('chat:a', { author: 'u2', data: { text } });
  const act = async (action: Action) => {
    if (action.do === 'send') {
      for (let i = 0; i < action.times; i++) handles.push(room.messages.send({ text: `s${handles.length}` }));
    } else if (action.do === 'other') {
      for (let i = 0; i < action.times; i++) append(`o${++others}`);
    } else if (action.do === 'cut') network.cut();
    else if (action.do === 'blocked' || action.do === 'buffers' || action.do === 'down') {
      state[action.do] = action.on;
      put();
    } else if (action.do === 'verdict') {
      if (action.verdict === 'lost') network.dropAcks();
      else if (action.verdict === 'rate_limited') server.refuse({ code: 'rate_limited', retryAfterMs: 20 });
      else server.refuse({ code: 'outcome_unknown', stored: action.verdict === 'unknown-stored' });
    } else if (action.do === 'latency') {
      let n = 0;
      delay = () => action.ms[n++ % action.ms.length] as number;
      network.delay(delay);
    } else if (action.do === 'restore') server.reset('chat:a', { lost: action.lost });
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
  state.down = state.buffers = false;
  delay = () => 3;
  put();
  server.accept();
  await vi.advanceTimersByTimeAsync(120_000);
  // It may just be on its way back to the first transport.
  for (let s = 0; s < 20 && room.status.get().state !== 'live'; s++) await vi.advanceTimersByTimeAsync(1_000);
  const list = room.messages.list.get();
  const status = { ...room.status.get(), pending: client.status.get().pendingSends };
  await client.close();
  return { log: server.log('chat:a'), handles, seen, list, status };
}

const seed = Number(process.env.ROOMLOG_SEED ?? Date.now() % 2 ** 31);
const runs = Number(process.env.ROOMLOG_RUNS ?? 60);

describe(`random schedules over all transports, ROOMLOG_SEED=${seed}`, () => {
  beforeAll(async () => {
    await Promise.all([
      import('../src/transport/fallback.js'),
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
      import('../src/transport/http/poll.js'),
    ]);
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('the list equals the log, and every send is in it once and in order (SSE-8, POLL-4, SEND-8, TAG-3)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule(faults), async steps => {
        const { log, handles, seen, list, status } = await run(steps);
        expect(status).toMatchObject({ state: 'live', seq: log.length, behind: 0, pending: 0, gaps: 0 });
        expect(list.map(m => `${m.seq} ${m.tag}`)).toEqual(log.map(e => `${e.seq} ${e.tag}`));
        expect(seen).toEqual(log.map(e => e.seq));
        const own = log.filter(e => e.author === 'u1').map(e => e.tag);
        expect(own).toEqual(handles.map(handle => handle.tag));
      }),
      { seed, numRuns: runs },
    );
    expect([...used].sort()).toEqual(['poll', 'sse', 'undefined', 'websocket']);
  });

  it('with stores restored from backups the list is the log of the last numbering, never a mix (RESET-3)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule([...faults, restores]), async steps => {
        const { log: stored, list, status } = await run(steps);
        expect(status).toMatchObject({ state: 'live', seq: stored.length, pending: 0 });
        const log = stored.map(e => `${e.seq} ${e.tag}`);
        expect(list.map(m => `${m.seq} ${m.tag}`)).toEqual(log.slice(log.length - list.length));
      }),
      { seed, numRuns: runs },
    );
  });
});
