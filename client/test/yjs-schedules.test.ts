import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { TransportName } from '../src/index.js';
import { createTestClock, createTestServer, type TestClock } from '../src/testing/index.js';
import { openDoc, type RoomDoc } from '../src/yjs/index.js';
import { docStorage, TestDocs } from './fake/docs.js';

// Three people write one text while the network does what it likes and pages are closed. When all is quiet everybody has the same text, the server
// too, and each word that was ever written is in it once.

const ROOM = 'pad:a';
const USERS = ['ann', 'ben', 'cy'] as const;

const seed = Number(process.env.ROOMLOG_SEED ?? Date.now() % 2 ** 31);
const runs = Number(process.env.ROOMLOG_RUNS ?? 20);

type Who = 0 | 1 | 2;
type Step =
  | { do: 'write'; who: Who; at: number }
  | { do: 'reload'; who: Who; quietly: boolean }
  | { do: 'refuse'; code: 'rate_limited' | 'outcome_unknown'; stored: boolean; times: number }
  | { do: 'delay'; ms: number }
  | { do: 'cut' | 'blackhole' | 'offline' | 'restore' | 'restart' | 'dropAcks' | 'again' }
  | { do: 'reset'; lost: number };

const who = fc.constantFrom<Who>(0, 1, 2);
const write = fc.record({
  do: fc.constant('write' as const),
  who,
  at: fc.double({ min: 0, max: 1, noNaN: true }),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  write,
  write,
  write,
  fc.record({ do: fc.constant('reload' as const), who, quietly: fc.boolean() }),
  fc.record({
    do: fc.constant('refuse' as const),
    code: fc.constantFrom('rate_limited' as const, 'outcome_unknown' as const),
    stored: fc.boolean(),
    times: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ do: fc.constant('delay' as const), ms: fc.constantFrom(0, 30, 400) }),
  fc.record({
    do: fc.constantFrom('cut', 'blackhole', 'offline', 'restore', 'restart', 'dropAcks', 'again'),
  }) as fc.Arbitrary<Step>,
  fc.record({ do: fc.constant('reset' as const), lost: fc.integer({ min: 0, max: 4 }) }),
);
const schedule = fc.record({
  transports: fc.constantFrom<TransportName[]>(['websocket'], ['websocket'], ['sse'], ['poll']),
  steps: fc.array(fc.tuple(fc.constantFrom(0, 20, 300, 2_500), step), { minLength: 3, maxLength: 30 }),
});

describe(`random schedules, ROOMLOG_SEED=${seed}`, () => {
  let clock: TestClock;
  beforeEach(async () => {
    await Promise.all([
      import('../src/client/kept.js'),
      import('../src/client/refresh.js'),
      import('../src/client/device.js'),
      import('../src/client/sides/part.js'),
      import('../src/transport/fallback.js'),
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
      import('../src/transport/http/poll.js'),
      import('../src/transport/http/state.js'),
      import('../src/transport/http/asides.js'),
    ]);
  });
  afterEach(() => clock.restore());

  async function run({ transports, steps }: { transports: TransportName[]; steps: [number, Step][] }) {
    clock = createTestClock();
    const server = createTestServer();
    const docs = new TestDocs(server);
    const storages = USERS.map(docStorage);
    const clients: ReturnType<typeof server.client>[] = [];
    const open: RoomDoc[] = [];
    const words: string[] = [];
    const begin = (i: Who) => {
      clients[i] = server.client({
        user: USERS[i],
        transports,
        storage: (storages[i] as ReturnType<typeof docStorage>)(),
        fetch: docs.fetch,
      });
      open[i] = openDoc(clients[i].room(ROOM));
    };
    for (const i of [0, 1, 2] as const) begin(i);
    const act = async (step: Step) => {
      if (step.do === 'write') {
        const text = (open[step.who] as RoomDoc).ydoc.getText('t');
        const word = `<${words.length}>`;
        words.push(word);
        // Between two words, never within one.
        const gaps = [...text.toString().matchAll(/</g)].map(({ index }) => index).concat(text.length);
        text.insert(gaps[Math.floor(step.at * (gaps.length - 1))] as number, word);
      } else if (step.do === 'reload') {
        // Pages close what they have opened, or are gone first.
        if (!step.quietly) open[step.who]?.destroy();
        await clients[step.who]?.close();
        open[step.who]?.destroy();
        begin(step.who);
      } else if (step.do === 'refuse') {
        const { code, stored, times } = step;
        server.refuse({ code, ...(code === 'outcome_unknown' && { stored }) }, times);
      } else if (step.do === 'delay') server.network.delay(step.ms);
      else if (step.do === 'dropAcks') server.network.dropAcks();
      else if (step.do === 'again') {
        // Somebody sends what was sent before, in another order.
        for (const { data } of server.log(ROOM).slice(-4).reverse())
          server.append(ROOM, { type: 'doc', data });
      } else if (step.do === 'reset') {
        // The first update stays: without it it would be another document.
        const log = server.log(ROOM);
        server.reset(ROOM, { lost: Math.max(0, Math.min(step.lost, log.length - 1)) });
      } else if (step.do === 'restart') server.restart();
      else server.network[step.do]();
    };
    for (const [after, step] of steps) {
      await clock.advance(after);
      await act(step);
    }
    server.network.restore();
    server.accept();
    await clock.advance(40_000);
    server.append(ROOM, { data: { text: 'last' } }); // what a lost last page left undelivered shows by the next
    await clock.advance(60_000);
    const shown = open.map(({ ydoc, status, replaced }) => ({
      text: ydoc.getText('t').toString(),
      vector: Buffer.from(Y.encodeStateVector(ydoc)).length,
      status: status.get(),
      replaced,
    }));
    const stored = docs.text(ROOM);
    const waits = clients.map(client => client.status.get().pendingSends);
    for (const doc of open) doc.destroy();
    await server.close();
    await clock.advance(60_000); // requests have time limits that nothing ends but the time
    if (transports[0] === 'websocket') expect(clock.timers, 'timers left behind').toBe(0);
    clock.restore();
    return { shown, stored, waits, words };
  }

  it('everybody has the same text in the end, each word once (I16, DOC-5, DOC-9)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule, async schedule => {
        const { shown, stored, waits, words } = await run(schedule);
        for (const each of shown) {
          expect(each).toMatchObject({ text: stored, status: 'saved', replaced: undefined });
        }
        expect((stored.match(/<\d+>/g) ?? []).sort()).toEqual([...words].sort());
        expect(stored).toHaveLength(words.join('').length);
        expect(waits).toEqual([0, 0, 0]);
      }),
      { seed, numRuns: runs },
    );
  });
});
