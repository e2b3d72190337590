import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Room, SendHandle, TransportName } from '../src/index.js';
import { createTestClock, createTestServer, type TestClock, type TestEvent } from '../src/testing/index.js';
import { memoryStorage } from './fake/memory.js';

// Two users who set the same few keys while the network does what it likes. When all is quiet each of them shows what the log says.

type Any = Record<string, unknown>;
const ROOM = 'board:a';
const USERS = ['ann', 'ben'] as const;
const KEYS = ['a', 'b', 'c', '__proto__'];

const seed = Number(process.env.ROOMLOG_SEED ?? Date.now() % 2 ** 31);
const runs = Number(process.env.ROOMLOG_RUNS ?? 60);

type Step =
  | { do: 'set'; who: 0 | 1; keys: string[]; compared: boolean }
  | { do: 'update' | 'undo' | 'redo' | 'message' | 'detach' | 'reload'; who: 0 | 1 }
  | { do: 'refuse'; code: 'rate_limited' | 'refused' | 'outcome_unknown'; stored: boolean; times: number }
  | { do: 'delay'; ms: number }
  | { do: 'cut' | 'blackhole' | 'offline' | 'restore' | 'restart' | 'dropAcks' | 'forget' | 'other' }
  | { do: 'reset'; lost: number };

const who = fc.constantFrom<0 | 1>(0, 1);
const keys = fc.subarray(KEYS, { minLength: 1, maxLength: 3 });
const set = fc.record({ do: fc.constant('set' as const), who, keys, compared: fc.boolean() });
const steps: fc.Arbitrary<Step>[] = [
  set,
  set,
  fc.record({ do: fc.constantFrom('undo' as const, 'redo' as const, 'update' as const), who }),
  fc.record({ do: fc.constantFrom('message' as const, 'detach' as const, 'reload' as const), who }),
  fc.record({
    do: fc.constant('refuse' as const),
    code: fc.constantFrom('rate_limited' as const, 'refused' as const, 'outcome_unknown' as const),
    stored: fc.boolean(),
    times: fc.integer({ min: 1, max: 3 }),
  }),
  fc.record({ do: fc.constant('delay' as const), ms: fc.constantFrom(0, 30, 400) }),
  fc.record({
    do: fc.constantFrom('cut', 'blackhole', 'offline', 'restore', 'restart', 'dropAcks', 'forget', 'other'),
  }) as fc.Arbitrary<Step>,
];
const resets: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('reset' as const),
  lost: fc.integer({ min: 0, max: 4 }),
});
const schedule = (of: fc.Arbitrary<Step>[]) =>
  fc.record({
    transports: fc.constantFrom<TransportName[]>(['websocket'], ['websocket'], ['sse'], ['poll']),
    steps: fc.array(fc.tuple(fc.constantFrom(0, 20, 300, 2_500), fc.oneof(...of)), {
      minLength: 3,
      maxLength: 40,
    }),
  });

/** What a log says of the state: the model. */
function stateOf(log: readonly TestEvent[]): Map<string, { value: unknown; seq: number }> {
  const map = new Map<string, { value: unknown; seq: number }>();
  for (const { type, data, seq } of log) {
    if (type !== 'state') continue;
    for (const key of Object.keys(data as Any)) map.set(key, { value: (data as Any)[key], seq });
  }
  for (const [key, { value }] of [...map]) if (value === null) map.delete(key);
  return map;
}

describe(`random schedules, ROOMLOG_SEED=${seed}`, () => {
  let clock: TestClock;
  beforeEach(async () => {
    await Promise.all([
      import('../src/client/state/part.js'),
      import('../src/client/kept.js'),
      import('../src/client/refresh.js'),
      import('../src/client/device.js'),
      import('../src/transport/fallback.js'),
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
      import('../src/transport/http/poll.js'),
      import('../src/transport/http/state.js'),
    ]);
  });
  afterEach(() => clock.restore());

  async function run({ transports, steps }: { transports: TransportName[]; steps: [number, Step][] }) {
    clock = createTestClock();
    const server = createTestServer();
    const storages = USERS.map(memoryStorage);
    const pending: Promise<unknown>[] = [];
    /** Undone while nothing of one's own was on its way. */
    const undone: { user: string; sent: SendHandle<unknown> }[] = [];
    const rooms: Room<unknown, unknown, Any>[] = [];
    const clients: ReturnType<typeof server.client>[] = [];
    const detach: (() => void)[] = [];
    let count = 0;
    const open = (i: number) => {
      clients[i] = server.client({
        user: USERS[i] as string,
        transports,
        storage: (storages[i] as () => never)(),
      });
      rooms[i] = clients[i].room<unknown, unknown, Any>(ROOM);
      rooms[i].state.value.subscribe(() => {});
      detach[i] = rooms[i].attach();
    };
    for (const i of [0, 1]) open(i);
    const settles = (promise: Promise<unknown>) => pending.push(promise.catch(() => {}));
    const act = async (step: Step) => {
      if ('who' in step) {
        const room = rooms[step.who] as Room<unknown, unknown, Any>;
        const client = clients[step.who] as (typeof clients)[number];
        const { state } = room;
        if (step.do === 'set') {
          const patch = Object.fromEntries(
            step.keys.map(key => [key, ++count % 5 === 0 ? null : { n: count }]),
          );
          const seen = Math.max(0, ...step.keys.map(key => state.meta(key)?.seq ?? 0));
          settles(state.set(patch, step.compared ? { ifSeq: seen } : {}));
        } else if (step.do === 'update') {
          const key = KEYS[++count % KEYS.length] as string;
          settles(
            state.update(draft => {
              draft[key] = { n: count, before: draft[key] };
              delete draft.c;
            }),
          );
        } else if (step.do === 'undo' || step.do === 'redo') {
          const isQuiet = client.status.get().pendingSends === 0;
          const done = await state[step.do]();
          if (done?.sent) settles(done.sent);
          if (done?.sent && isQuiet) undone.push({ user: USERS[step.who], sent: done.sent });
        } else if (step.do === 'message') settles(room.messages.send({ text: `${++count}` }));
        else if (step.do === 'detach') {
          detach[step.who]?.();
          await clock.advance(5);
          detach[step.who] = room.attach();
        } else if (client.status.get().pendingSends === 0) {
          // This storage keeps windows only: what is on its way would go with the page.
          await client.close();
          open(step.who);
        }
      } else if (step.do === 'refuse') {
        const { code, stored, times } = step;
        server.refuse({ code, ...(code === 'outcome_unknown' && { stored }) }, times);
      } else if (step.do === 'delay') server.network.delay(step.ms);
      else if (step.do === 'dropAcks') server.network.dropAcks();
      else if (step.do === 'forget') server.forgetDeleted(ROOM);
      else if (step.do === 'other')
        server.append(ROOM, { type: 'state', author: 'cy', data: { [KEYS[count++ % 4] as string]: count } });
      else if (step.do === 'reset')
        server.reset(ROOM, { lost: Math.min(step.lost, server.log(ROOM).length) });
      else if (step.do === 'restart') server.restart();
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
    let isSettled = false;
    void Promise.all(pending).then(() => {
      isSettled = true;
    });
    await clock.advance(0);
    const log = server.log(ROOM);
    const shown = rooms.map(
      ({ state }) => new Map(Object.keys(state.get()).map(key => [key, state.get(key)])),
    );
    const metas = rooms.map(
      ({ state }) => new Map(Object.keys(state.get()).map(key => [key, state.meta(key)])),
    );
    const waits = clients.map(client => client.status.get().pendingSends);
    await server.close();
    await clock.advance(20);
    // Requests have time limits that nothing ends but the time.
    if (transports[0] === 'websocket') expect(clock.timers, 'timers left behind').toBe(0);
    clock.restore();
    return { log, shown, metas, waits, isSettled, undone };
  }

  const agrees = ({ log, shown, metas, waits, isSettled }: Awaited<ReturnType<typeof run>>) => {
    const model = stateOf(log);
    for (const map of shown) {
      expect(new Map([...map].sort())).toEqual(
        new Map([...model].map(([key, { value }]) => [key, value] as const).sort()),
      );
    }
    for (const map of metas)
      for (const [key, meta] of map) expect(meta).toMatchObject({ seq: model.get(key)?.seq, pending: false });
    expect(waits).toEqual([0, 0]);
    expect(isSettled, 'every set is answered').toBe(true);
    expect(({} as Any).n).toBeUndefined();
  };

  it('everybody shows what the log says, and no undo wrote over what somebody else had set (STATE-2, STATE-7 to STATE-10)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule(steps), async steps => {
        const ran = await run(steps);
        agrees(ran);
        for (const { user, sent } of ran.undone) {
          const seq = await sent.then(
            message => message.seq as number,
            () => undefined,
          );
          const event = ran.log.find(each => each.seq === seq);
          for (const key of Object.keys(Object(event?.data))) {
            const before = ran.log.filter(
              each =>
                each.type === 'state' && each.seq < (seq as number) && Object.hasOwn(each.data as Any, key),
            );
            expect(before.at(-1)?.author, `undo of ${key} at ${seq}`).toBe(user);
          }
        }
      }),
      { seed, numRuns: runs },
    );
  });

  it('with stores restored from backups they show the last numbering, never a mix (RESET-3)', async () => {
    await fc.assert(
      fc.asyncProperty(schedule([...steps, resets]), async steps => agrees(await run(steps))),
      { seed, numRuns: Math.ceil(runs / 2) },
    );
  });
});
