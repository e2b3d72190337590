import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createClient, type SendHandle } from '../src/index.js';
import { FakeHttp, TOKEN } from './fake/http.js';
import { FakeServer, type Verdict } from './fake/server.js';
import { FakeNetwork } from './fake/socket.js';

// As schedules.test.ts, with something in between that blocks upgrades, holds streams back and cuts, so that the client
// moves from transport to transport in the middle of it all.

type Action =
  | { do: 'send' | 'other'; times: number }
  | { do: 'drop' | 'cut' | 'detach' }
  | { do: 'blocked' | 'buffers' | 'down'; on: boolean }
  | { do: 'verdict'; verdict: Verdict | 'lost' }
  | { do: 'latency'; ms: number[] }
  | { do: 'restore'; lost: number };

const times = fc.integer({ min: 1, max: 8 });
const faults: fc.Arbitrary<Action>[] = [
  fc.record({ do: fc.constantFrom('send' as const, 'other' as const), times }),
  fc.record({ do: fc.constantFrom('send' as const), times }),
  fc.record({ do: fc.constantFrom('drop' as const, 'cut' as const, 'detach' as const) }),
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
  const network = new FakeNetwork();
  const server = new FakeServer(network);
  const http = new FakeHttp(server);
  vi.stubGlobal('fetch', http.fetch);
  const sockets = network.onDial;
  let blocked = true;
  network.onDial = socket =>
    blocked || http.down ? queueMicrotask(() => socket.end(1006)) : sockets(socket);
  const client = createClient({ url: 'http://h', token: TOKEN, WebSocket: network.WebSocket });
  client.status.subscribe(() => used.add(String(client.status.get().transport)));
  const room = client.room('chat:a', { position: '0' });
  const seen: number[] = [];
  room.on('event', e => seen.push(e.seq));
  let detach = room.attach();
  const handles: SendHandle[] = [];
  let others = 0;
  const cut = () => {
    for (const stream of [...http.streams]) stream.cut();
  };
  const act = async (action: Action) => {
    if (action.do === 'send') {
      for (let i = 0; i < action.times; i++) handles.push(room.messages.send({ text: `s${handles.length}` }));
    } else if (action.do === 'other') {
      for (let i = 0; i < action.times; i++) server.append('u2', `other-${++others}`, { text: `o${others}` });
    } else if (action.do === 'drop') server.drop();
    else if (action.do === 'cut') cut();
    else if (action.do === 'blocked') {
      blocked = action.on;
      if (blocked) server.drop();
    } else if (action.do === 'buffers') {
      http.buffers = action.on;
      if (action.on) cut();
    } else if (action.do === 'down') {
      http.down = action.on;
      if (action.on) {
        cut();
        server.drop();
      }
    } else if (action.do === 'verdict') {
      http.verdicts.push(action.verdict);
      if (action.verdict !== 'lost') server.verdicts.push(action.verdict);
    } else if (action.do === 'latency') {
      let n = 0;
      http.latencyMs = () => action.ms[n++ % action.ms.length] as number;
    } else if (action.do === 'restore') server.restore(action.lost);
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
  http.down = http.buffers = false;
  http.verdicts.length = server.verdicts.length = 0;
  http.latencyMs = () => 5;
  await vi.advanceTimersByTimeAsync(120_000);
  // It may just be on its way back to the first transport.
  for (let s = 0; s < 20 && room.status.get().state !== 'live'; s++) await vi.advanceTimersByTimeAsync(1_000);
  const list = room.messages.list.get();
  const status = { ...room.status.get(), pending: client.status.get().pendingSends };
  await client.close();
  return { server, handles, seen, list, status };
}

const seed = Number(process.env.ROOMLOG_SEED ?? Date.now() % 2 ** 31);
const runs = Number(process.env.ROOMLOG_RUNS ?? 60);

describe(`random schedules over all transports, ROOMLOG_SEED=${seed}`, () => {
  beforeAll(async () => {
    await Promise.all([
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
      import('../src/transport/http/poll.js'),
    ]);
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('the list equals the log, and every send is in it once and in order (SSE-8, POLL-4, SEND-8, TAG-3)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule(faults), async steps => {
        const { server, handles, seen, list, status } = await run(steps);
        expect(status).toMatchObject({ state: 'live', seq: server.head, behind: 0, pending: 0, gaps: 0 });
        expect(list.map(m => `${m.seq} ${m.tag}`)).toEqual(server.log.map(e => `${e.seq} ${e.tag}`));
        expect(seen).toEqual(server.log.map(e => e.seq));
        const own = server.log.filter(e => e.author === 'u1').map(e => e.tag);
        expect(own).toEqual(handles.map(handle => handle.tag));
      }),
      { seed, numRuns: runs },
    );
    expect([...used].sort()).toEqual(['poll', 'sse', 'undefined', 'websocket']);
  }, 120_000);

  it('with stores restored from backups the list is the log of the last numbering, never a mix (RESET-3)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule([...faults, restores]), async steps => {
        const { server, list, status } = await run(steps);
        expect(status).toMatchObject({ state: 'live', seq: server.head, pending: 0 });
        const log = server.log.map(e => `${e.seq} ${e.tag}`);
        expect(list.map(m => `${m.seq} ${m.tag}`)).toEqual(log.slice(log.length - list.length));
      }),
      { seed, numRuns: runs },
    );
  }, 120_000);
});
