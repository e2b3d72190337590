import { IDBFactory, IDBKeyRange } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LostWrite, Room, RoomlogError, SharedState } from '../src/index.js';
import { indexedDBStorage } from '../src/indexeddb/index.js';
import {
  createTestClock,
  createTestServer,
  type TestClientOptions,
  type TestClock,
  type TestServer,
} from '../src/testing/index.js';
import { FakeLocks } from './fake/locks.js';
import { memoryStorage } from './fake/memory.js';

// Two users and the state of a room, through a server in memory, by a clock of the test.

type Any = Record<string, unknown>;
const ROOM = 'board:a';

let clock: TestClock;
let server: TestServer;

beforeEach(async () => {
  // Loaded before, so that it takes no time of the clock's.
  await Promise.all([
    import('../src/client/state/part.js'),
    import('../src/client/kept.js'),
    import('../src/transport/fallback.js'),
    import('../src/transport/http/shared.js'),
    import('../src/transport/http/stream.js'),
    import('../src/transport/http/poll.js'),
    import('../src/transport/http/state.js'),
  ]);
  clock = createTestClock();
  server = createTestServer();
});
afterEach(async () => {
  await server.close();
  clock.restore();
});

interface User {
  room: Room<unknown, unknown, Any>;
  state: SharedState<Any>;
  lost: LostWrite[];
  client: ReturnType<TestServer['client']>;
}

async function open(user: string, options: TestClientOptions = {}, looks = true): Promise<User> {
  const client = server.client({ user, ...options });
  const room = client.room<unknown, unknown, Any>(ROOM);
  const lost: LostWrite[] = [];
  room.on('lost', event => lost.push(event));
  if (looks) room.state.value.subscribe(() => {});
  room.attach();
  await clock.advance(500);
  return { room, state: room.state, lost, client };
}

const shown = ({ state }: User) => ({ ...state.get() });
/** What a promise was refused with. */
const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('not refused');
    },
    (error: RoomlogError) => error,
  );

describe('state', () => {
  it('a set shows at once, then everywhere, and says where it comes from; values that did not change stay the same (STATE-1, STATE-5)', async () => {
    const [ann, ben] = [await open('ann'), await open('ben')];
    const first = ann.state.set({ card: { title: 'x' }, n: 1 });
    await clock.advance(100);
    expect(await first).toMatchObject({ seq: 1, type: 'state' });
    expect(shown(ben)).toEqual({ card: { title: 'x' }, n: 1 });
    const { card } = ann.state.get();
    const before = ann.state.value.get();
    const sent = ann.state.set({ n: 2 });
    expect(shown(ann)).toEqual({ card: { title: 'x' }, n: 2 });
    expect(ann.state.get('n')).toBe(2);
    expect(ann.state.get('card')).toBe(card);
    expect(ann.state.value.get()).not.toBe(before);
    expect(ann.state.meta('n')).toMatchObject({ seq: null, author: 'ann', own: true, pending: true });
    await clock.advance(100);
    await sent;
    expect(ann.state.meta('n')).toMatchObject({ seq: 2, own: true, pending: false, deleted: false });
    expect(ben.state.meta('n')).toMatchObject({ seq: 2, author: 'ann', own: false });
    ben.state.set({ n: null });
    expect(ben.state.get('n')).toBeUndefined();
    await clock.advance(100);
    expect('n' in ann.state.get()).toBe(false);
    expect(ann.state.meta('n')).toMatchObject({ seq: 3, author: 'ben', deleted: true });
    expect(server.state(ROOM)).toEqual({ card: { title: 'x' } });
    // What the caller does with the object afterwards is nobody's business.
    const mine = { list: [1] };
    ann.state.set({ mine });
    mine.list.push(2);
    await clock.advance(100);
    expect(server.state(ROOM).mine).toEqual({ list: [1] });
    expect(() => ann.state.set({})).toThrow(TypeError);
  });

  it('what is set before the code is there is sent, shown and told of all the same', async () => {
    const ann = await open('ann', {}, false);
    server.network.delay(100);
    server.refuse({ code: 'forbidden' });
    const refused = refusal(ann.state.set({ a: 1 })); // the first of a room that has no state
    expect(ann.state.undoable).toBeUndefined();
    for (let i = 0; i < 5; i++) await clock.advance(0);
    expect(ann.state.get('a')).toBe(1);
    expect(ann.state.undoable).toEqual({ undo: true, redo: false });
    await clock.advance(1_000);
    expect(await refused).toMatchObject({ code: 'forbidden' });
    expect(shown(ann)).toEqual({});
    expect(ann.lost).toMatchObject([{ key: 'a', mine: 1, theirs: undefined, by: '' }]);
    expect(ann.client.status.get().pendingSends).toBe(0);
  });

  it('a refused set shows no more; a conflict says who is in the way, and is put back by one call (STATE-3)', async () => {
    const [ann, ben] = [await open('ann'), await open('ben')];
    ben.state.set({ title: 'b', other: 1 });
    await clock.advance(100);
    const sent = refusal(ann.state.set({ title: 'a', more: 2 }, { ifSeq: 0 }));
    expect(ann.state.get('title')).toBe('a');
    await clock.advance(100);
    const error = await sent;
    expect(error).toMatchObject({ code: 'conflict', retryable: false, field: 'if_seq' });
    expect(error.current).toMatchObject({ title: { value: 'b', seq: 1, author: 'ben' } });
    expect(shown(ann)).toEqual({ title: 'b', other: 1 });
    expect(ann.lost).toMatchObject([
      { key: 'title', mine: 'a', theirs: 'b', by: 'ben', error: { code: 'conflict' } },
      { key: 'more', mine: 2, theirs: undefined, by: '' },
    ]);
    expect(ann.state.undoable).toEqual({ undo: false, redo: false });
    ann.lost[0]?.putBack();
    await clock.advance(100);
    expect(shown(ben)).toEqual({ title: 'a', other: 1 });
    const again = ann.state.set({ title: 'c' }, { ifSeq: ann.state.meta('title')?.seq ?? 0 });
    await clock.advance(100);
    expect(await again).toMatchObject({ seq: 3 });
    // Refused for another reason: the server's value shows again.
    server.refuse({ code: 'refused', title: 'Be kind.' });
    const rude = refusal(ann.state.set({ title: 'rude' }));
    await clock.advance(100);
    expect(await rude).toMatchObject({ code: 'refused' });
    expect(ann.state.get('title')).toBe('c');
    // Refused for now is sent again.
    server.refuse({ code: 'rate_limited' }, 3);
    const late = ann.state.set({ title: 'd' });
    await clock.advance(5_000);
    expect(await late).toMatchObject({ seq: 4 });
  });

  it('who loses a race is told who won, once, and puts it back by one call; what comes a minute later is no race', async () => {
    server.append(ROOM, { type: 'state', data: { title: '' } });
    const [ann, ben] = [await open('ann'), await open('ben')];
    server.network.delay(200);
    ann.state.set({ title: 'a' });
    ben.state.set({ title: 'b' });
    await clock.advance(1_000);
    expect(shown(ann)).toEqual({ title: 'b' });
    expect(shown(ben)).toEqual({ title: 'b' });
    expect(ben.lost).toEqual([]);
    expect(ann.lost).toMatchObject([{ key: 'title', mine: 'a', theirs: 'b', by: 'ben', error: undefined }]);
    expect(ann.lost[0]?.at.getTime()).toBeGreaterThan(0);
    ann.lost[0]?.putBack();
    await clock.advance(1_000);
    expect(shown(ben)).toEqual({ title: 'a' });
    expect(ben.lost).toMatchObject([{ key: 'title', mine: 'b', theirs: 'a', by: 'ann' }]);
    await clock.advance(61_000);
    ben.state.set({ title: 'c' });
    await clock.advance(1_000);
    expect(shown(ann)).toEqual({ title: 'c' });
    expect(ann.lost).toHaveLength(1);
  });

  it.each([3_600_000, -3_600_000])(
    "who loses is told by seqs and the server's time, with clients whose clock is off by %i ms (STATE-2)",
    async off => {
      server.append(ROOM, { type: 'state', data: { title: '' } });
      const [ann, ben] = [await open('ann'), await open('ben')];
      server.network.delay(200);
      const right = globalThis.Date;
      /** What clients do: their frames reach the server, whose clock is right, later. */
      const wrong = async (ms: number, act = () => {}) => {
        globalThis.Date = new Proxy(right, {
          get: (of, key) => (key === 'now' ? () => of.now() + off : Reflect.get(of, key)),
          construct: (of, args) => (args.length ? Reflect.construct(of, args) : new of(of.now() + off)),
        });
        try {
          act();
          await clock.advance(ms);
        } finally {
          globalThis.Date = right;
        }
      };
      await wrong(0, () => {
        ann.state.set({ title: 'a' });
        ben.state.set({ title: 'b' });
      });
      await clock.advance(300);
      expect(server.state(ROOM)).toEqual({ title: 'b' });
      expect(ann.lost).toEqual([]); // it has no answer yet
      await wrong(700);
      for (const user of [ann, ben]) expect(shown(user)).toEqual({ title: 'b' });
      expect(ben.lost).toEqual([]);
      expect(ann.lost).toMatchObject([{ key: 'title', mine: 'a', theirs: 'b', by: 'ben' }]);
      await clock.advance(61_000);
      await wrong(0, () => ann.state.set({ title: 'late' }));
      await clock.advance(300);
      await wrong(700);
      for (const user of [ann, ben]) expect(shown(user)).toEqual({ title: 'late' });
      expect(ben.lost).toEqual([]); // a minute later is no race
    },
  );

  it('the loser is told also where neither event came: acked, cut, overwritten, resumed with the latest values (STATE-9)', async () => {
    const [ann, ben] = [await open('ann'), await open('ben')];
    ben.state.set({ t: 0, u: 0 });
    await clock.advance(100);
    server.network.offline();
    await clock.advance(100);
    ann.state.set({ t: 'a' });
    ann.state.set({ u: 'a' });
    await clock.advance(10_000);
    server.network.restore();
    const { lost } = ann;
    server.append(ROOM, { type: 'state', author: 'cy', data: { t: 'c', gone: 1 } });
    server.append(ROOM, { type: 'state', author: 'cy', data: { gone: null } });
    server.append(ROOM, { data: { text: 'between' }, author: 'cy' });
    await clock.advance(30_000);
    // Offline edits merge by key: ann's came last and stand.
    expect(shown(ann)).toEqual(server.state(ROOM));
    expect(shown(ben)).toEqual(server.state(ROOM));
    expect(ann.state.get('t')).toBe('a');
    expect(lost).toEqual([]);
    expect(ann.room.messages.list.get().map(m => m.data)).toEqual([{ text: 'between' }]);
    ann.state.set({ t: 'again' });
    await clock.advance(100);
    server.network.cut();
    server.append(ROOM, { type: 'state', author: 'cy', data: { t: 'c' } });
    server.append(ROOM, { type: 'state', author: 'cy', data: { t: 'd' } });
    await clock.advance(10_000);
    expect(shown(ann)).toEqual({ t: 'd', u: 'a' });
    expect(lost).toMatchObject([{ key: 't', mine: 'again', theirs: 'd', by: 'cy' }]);
  });

  it('sets that follow one another and never went out are one event; what may have gone out is left as it is', async () => {
    const ann = await open('ann');
    ann.state.set({ x: 0 });
    await clock.advance(100);
    server.network.offline();
    await clock.advance(100);
    const first = ann.state.set({ x: 1, y: 1 });
    for (let x = 2; x <= 9; x++) ann.state.set({ x });
    expect(ann.state.set({ z: 1 })).toBe(first);
    expect(ann.client.status.get().pendingSends).toBe(1);
    ann.room.messages.send({ text: 'between' });
    ann.state.set({ x: 10 }); // behind the message
    ann.state.set({ x: 11 }, { ifSeq: 0 }); // compared by itself
    ann.state.set({ x: 12 });
    expect(ann.client.status.get().pendingSends).toBe(5);
    expect(shown(ann)).toEqual({ x: 12, y: 1, z: 1 });
    server.network.restore();
    await clock.advance(30_000);
    expect(await first).toMatchObject({ seq: 2 });
    expect(server.log(ROOM).map(({ data }) => data)).toEqual([
      { x: 0 },
      { x: 9, y: 1, z: 1 },
      { text: 'between' },
      { x: 10 },
      { x: 12 },
    ]);
    // One undo is one set, also where several went out together.
    for (const x of [10, 9, 9, 8]) {
      await ann.state.undo();
      expect(ann.state.get('x')).toBe(x);
    }
    await clock.advance(1_000);
    expect(server.state(ROOM)).toEqual({ x: 8, y: 1 });
    // What went out and was refused for now may have been seen by somebody.
    server.network.cut();
    server.refuse({ code: 'rate_limited', retryAfterMs: 20_000 });
    const refused = ann.state.set({ w: 1 });
    await clock.advance(5_000);
    expect(ann.client.status.get()).toMatchObject({ state: 'connected', pendingSends: 1 });
    expect(ann.state.set({ w: 2 })).not.toBe(refused);
    await clock.advance(30_000);
    expect(
      server
        .log(ROOM)
        .slice(-2)
        .map(({ data }) => data),
    ).toEqual([{ w: 1 }, { w: 2 }]);
  });

  it("undo and redo take back one's own by key, never what somebody else has set since", async () => {
    const [ann, ben] = [await open('ann'), await open('ben')];
    ann.state.set({ a: 1, b: 1 });
    await clock.advance(100);
    ann.state.set({ a: 2, b: 2 });
    ann.state.set({ c: 1 });
    await clock.advance(100);
    ben.state.set({ b: 'ben' });
    await clock.advance(100);
    expect(ann.state.undoable).toEqual({ undo: true, redo: false });
    expect(await ann.state.undo()).toMatchObject({ keys: ['c'], skipped: [] });
    expect(shown(ann)).toEqual({ a: 2, b: 'ben' }); // at once
    const undone = await ann.state.undo();
    expect(undone).toMatchObject({ keys: ['a'], skipped: [{ key: 'b', theirs: 'ben', by: 'ben', mine: 1 }] });
    await clock.advance(100);
    await undone?.sent;
    expect(shown(ben)).toEqual({ a: 1, b: 'ben' });
    expect(ann.state.undoable).toEqual({ undo: true, redo: true });
    await ann.state.redo();
    await ann.state.redo();
    await clock.advance(100);
    expect(shown(ben)).toEqual({ a: 2, b: 'ben', c: 1 });
    expect(await ann.state.redo()).toBeUndefined();
    expect(await ben.state.undo()).toMatchObject({ keys: ['b'] });
    await clock.advance(100);
    expect(ann.state.get('b')).toBe(2); // what ben wrote over
    await ann.state.undo();
    await clock.advance(100);
    ann.state.set({ d: 1 }); // ends what could be redone
    expect(ann.state.undoable).toEqual({ undo: true, redo: false });
  });

  it('an undo that meets what was not seen yet is a conflict, and told', async () => {
    const ann = await open('ann');
    ann.state.set({ a: 1 });
    await clock.advance(100);
    ann.state.set({ a: 2 });
    await clock.advance(100);
    server.network.offline();
    await clock.advance(100);
    const undone = await ann.state.undo();
    expect(ann.state.get('a')).toBe(1);
    server.append(ROOM, { type: 'state', author: 'ben', data: { a: 'ben' } });
    server.network.restore();
    const outcome = refusal(undone?.sent as Promise<unknown>);
    await clock.advance(30_000);
    expect(await outcome).toMatchObject({ code: 'conflict' });
    expect(shown(ann)).toEqual({ a: 'ben' });
    const [lost] = ann.lost.filter(({ error }) => error);
    expect(lost).toMatchObject({ key: 'a', mine: 1, theirs: 'ben', by: 'ben' });
  });

  it('update sets what a function changes in a copy, at any depth, and nothing where it changes nothing', async () => {
    const ann = await open('ann');
    ann.state.set({ card: { title: 'x', tags: ['a'] }, n: 1, gone: 1 });
    await clock.advance(100);
    const { card } = ann.state.get();
    const updated = ann.state.update(draft => {
      (draft.card as { tags: string[] }).tags.push('b');
      delete draft.gone;
      draft.more = { deep: [1] };
    });
    expect(card).toEqual({ title: 'x', tags: ['a'] });
    expect(ann.state.get()).toMatchObject({
      card: { title: 'x', tags: ['a', 'b'] },
      n: 1,
      more: { deep: [1] },
    });
    await clock.advance(100);
    expect(await updated).toMatchObject({ seq: 2 });
    expect(server.log(ROOM)[1]?.data).toEqual({
      card: { title: 'x', tags: ['a', 'b'] },
      gone: null,
      more: { deep: [1] },
    });
    expect(await ann.state.update(() => {})).toBeUndefined();
    expect(server.log(ROOM)).toHaveLength(2);
  });

  it('keys such as __proto__ are keys like others', async () => {
    const [ann, ben] = [await open('ann'), await open('ben')];
    const names = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'prototype'];
    const bad = JSON.parse(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"hasOwnProperty":1}',
    );
    ann.state.set(bad);
    await clock.advance(100);
    expect(Object.keys(ben.state.get()).sort()).toEqual(['__proto__', 'constructor', 'hasOwnProperty']);
    expect(ben.state.get('__proto__')).toEqual({ polluted: 1 });
    expect(ben.state.get('toString')).toBeUndefined();
    expect(ben.state.meta('toString')).toBeUndefined();
    await ben.state.update(draft => {
      for (const name of names) draft[name] = { polluted: 2 };
    });
    await clock.advance(100);
    expect(Object.keys(ann.state.get()).sort()).toEqual([...names].sort());
    expect(ann.state.meta('__proto__')).toMatchObject({ author: 'ben' });
    await ben.state.undo();
    await clock.advance(100);
    expect(JSON.stringify(ann.state.get('__proto__'))).toBe('{"polluted":1}');
    expect(({} as Any).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(ann.state.get())).toBeNull();
  });

  it.each(['websocket', 'sse', 'poll'] as const)(
    '%s: joined, live, conflated behind, whole where deletions are forgotten, begun anew on a reset (STATE-7 to STATE-10)',
    async transport => {
      const ben = await open('ben');
      ben.state.set({ a: 1, b: 1, gone: 1 });
      await clock.advance(100);
      ben.state.set({ gone: null });
      for (let i = 0; i < 3; i++) server.append(ROOM, { data: { text: `m${i}` } });
      const ann = await open('ann', { transports: [transport] });
      await clock.advance(1_000);
      expect(shown(ann)).toEqual({ a: 1, b: 1 });
      expect(ann.state.meta('a')).toMatchObject({ author: 'ben', seq: 1 });
      expect(ann.room.messages.list.get()).toHaveLength(3);
      ben.state.set({ b: 2 });
      const sent = ann.state.set({ c: 3 });
      await clock.advance(1_000);
      expect(await sent).toMatchObject({ type: 'state' });
      expect(shown(ann)).toEqual({ a: 1, b: 2, c: 3 });
      const conflict = refusal(ann.state.set({ b: 'x' }, { ifSeq: 1 }));
      await clock.advance(1_000);
      expect((await conflict).current).toMatchObject({ b: { value: 2, author: 'ben' } });
      server.network.offline();
      await clock.advance(1_000);
      for (let i = 0; i < 60; i++)
        server.append(ROOM, { type: 'state', author: 'cy', data: { a: i, [`k${i % 3}`]: i } });
      server.append(ROOM, { type: 'state', author: 'cy', data: { b: null } });
      server.forgetDeleted(ROOM);
      server.network.restore();
      await clock.advance(60_000);
      expect(shown(ann)).toEqual({ a: 59, c: 3, k0: 57, k1: 58, k2: 59 });
      expect(ann.room.status.get()).toMatchObject({ state: 'live', gaps: 0 });
      server.reset(ROOM, { lost: 50 });
      await clock.advance(60_000);
      expect(shown(ann)).toEqual(server.state(ROOM));
      expect(ann.room.messages.list.get()).toHaveLength(3);
    },
  );

  it('is kept with the newest events, and sends with what they are compared with', async () => {
    const storage = memoryStorage();
    const ben = await open('ben');
    ben.state.set({ a: 1, b: 1 });
    const ann = await open('ann', { storage: storage() });
    ben.state.set({ b: null, c: 1 });
    await clock.advance(2_000);
    await ann.client.close();
    server.append(ROOM, { type: 'state', author: 'cy', data: { c: 2 } });
    const again = await open('ann', { storage: storage() });
    await clock.advance(2_000);
    expect(shown(again)).toEqual({ a: 1, c: 2 });
    expect(again.state.meta('a')).toMatchObject({ author: 'ben', seq: 1 });
    expect(server.requests.filter(({ path }) => path.endsWith('/state'))).toEqual([]);
  });
});

describe('state in IndexedDB', () => {
  afterEach(() => void vi.unstubAllGlobals());

  it('sets made offline survive a reload: shown before there is a connection, and sent once, with what they are compared with', async () => {
    vi.stubGlobal('indexedDB', new IDBFactory());
    vi.stubGlobal('IDBKeyRange', IDBKeyRange);
    vi.stubGlobal('navigator', { locks: new FakeLocks() });
    // fake-indexeddb works in macrotasks that are not faked.
    const rest = async () => {
      for (let i = 0; i < 80; i++) await clock.advance(10);
    };
    const ann = await open('ann', { storage: indexedDBStorage() });
    ann.state.set({ a: 1, b: 1, c: 1 });
    await rest();
    server.network.offline();
    await rest();
    ann.state.set({ a: 2 });
    ann.state.set({ b: 2 }, { ifSeq: ann.state.meta('b')?.seq ?? 0 });
    await rest();
    const closed = ann.client.close();
    await rest();
    await closed;
    const again = await open('ann', { storage: indexedDBStorage() });
    await rest();
    expect(shown(again)).toEqual({ a: 2, b: 2, c: 1 });
    expect(again.state.meta('a')).toMatchObject({ pending: true, own: true });
    server.append(ROOM, { type: 'state', author: 'ben', data: { b: 'ben' } });
    server.network.restore();
    await clock.advance(30_000);
    await rest();
    expect(server.log(ROOM).map(({ data }) => data)).toEqual([{ a: 1, b: 1, c: 1 }, { b: 'ben' }, { a: 2 }]);
    expect(shown(again)).toEqual({ a: 2, b: 'ben', c: 1 });
    expect(again.lost).toMatchObject([
      { key: 'b', mine: 2, theirs: 'ben', by: 'ben', error: { code: 'conflict' } },
    ]);
    // A refusal for good is not kept: it was told, and shows no more.
    const over = again.client.close();
    await rest();
    await over;
    const third = await open('ann', { storage: indexedDBStorage() });
    await rest();
    expect(third.client.status.get().pendingSends).toBe(0);
    expect(shown(third)).toEqual({ a: 2, b: 'ben', c: 1 });
    expect(server.log(ROOM)).toHaveLength(3);
  });
});

describe('the state of the server in memory', () => {
  const ask = async (path: string, init: RequestInit = {}) => {
    const answer = server.fetch(`${server.url}/v1/rooms/${ROOM}/state${path}`, {
      ...init,
      headers: { authorization: `Bearer ${server.token('ann')}`, ...init.headers },
    });
    await clock.advance(10);
    const { status, headers } = await answer;
    return { status, etag: headers.get('etag'), body: await (await answer).json() };
  };
  const patch = (body: unknown, headers: Record<string, string> = {}) =>
    ask('', { method: 'PATCH', body: JSON.stringify(body), headers });

  it('is read and set by request, compared where If-Match says so (STATE-13, STATE-14)', async () => {
    expect(await ask('')).toMatchObject({ status: 200, etag: '"0"', body: { seq: 0, state: {} } });
    const tag = crypto.randomUUID();
    expect(await patch({ a: 1, b: 1 }, { 'idempotency-key': tag })).toMatchObject({
      status: 201,
      body: { seq: 1 },
    });
    expect(await patch({ a: 1, b: 1 }, { 'idempotency-key': tag })).toMatchObject({
      status: 200,
      body: { duplicate: true },
    });
    const { position } = (await ask('')).body;
    expect(await patch({ a: null }, { 'if-match': '"1"' })).toMatchObject({ status: 201 });
    expect(await patch({ a: 2 }, { 'if-match': '"1"' })).toMatchObject({
      status: 409,
      body: { code: 'conflict', current: { a: { deleted: true, seq: 2, author: 'ann' } } },
    });
    expect(await patch({ a: 2 }, { 'if-match': '*' })).toMatchObject({
      status: 400,
      body: { field: 'If-Match' },
    });
    const since = (await ask(`?since=${position}`)).body;
    expect(since.full).toBeUndefined();
    expect(Object.keys(since.state)).toEqual(['a']);
    expect((await ask('?since=gone:1')).body).toMatchObject({ full: true, state: { b: { value: 1 } } });
  });

  it('refuses what the real one does (STATE-1, STATE-3, STATE-6)', async () => {
    const deep = (n: number): unknown => (n === 0 ? 1 : [deep(n - 1)]);
    const many = (n: number, from = 0) =>
      Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${from + i}`, 1]));
    expect((await patch({ a: deep(32) })).status).toBe(201);
    for (const bad of [
      {},
      [],
      1,
      many(65),
      { a: deep(33) },
      { ['x'.repeat(129)]: 1 },
      { 'a\n': 1 },
      { '': 1 },
    ])
      expect((await patch(bad)).body).toMatchObject({ code: 'bad_data' });
    for (let from = 0; from < 960; from += 60) await patch(many(60, from));
    expect((await patch(many(60, 960))).body).toMatchObject({
      code: 'limit_exceeded',
      field: 'keys',
      limit: 1_000,
    });
    expect((await patch({ k0: null })).status).toBe(201);
  });
});
