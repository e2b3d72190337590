import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Client } from '../src/index.js';
import { createTestClock, createTestServer, type TestClock, type TestServer } from '../src/testing/index.js';
import { KNOWN } from '../src/testing/refusal.js';

// roomlog/testing as the test of an application uses it; that it keeps the protocol is in testing-transcripts.test.ts, that it
// agrees with the real server under a client in e2e/browser/testing.test.ts.

const ROOM = 'chat:a';
const shown = (client: Client) =>
  client
    .room(ROOM)
    .messages.list.get()
    .map(m => `${m.data.text} ${m.delivery}`);

describe('a server in memory', () => {
  let server: TestServer;
  beforeEach(() => {
    server = createTestServer();
  });
  afterEach(() => server.close());

  /** Connected, and live in the room. */
  async function open(user: string): Promise<Client> {
    const client = server.client({ user });
    client.room(ROOM).attach();
    for await (const { state } of client.room(ROOM).status) if (state === 'live') break;
    return client;
  }

  it('needs no clock: two clients talk in real time, and the log has it', async () => {
    const [ann, ben] = [await open('ann'), await open('ben')];
    await ann.room(ROOM).messages.send({ text: 'hello' });
    await ben.room(ROOM).messages.send({ text: 'hi' });
    expect(shown(ann)).toEqual(['hello sent', 'hi sent']);
    expect(shown(ben)).toEqual(['hello sent', 'hi sent']);
    expect(server.log(ROOM).map(({ seq, author }) => [seq, author])).toEqual([
      [1, 'ann'],
      [2, 'ben'],
    ]);
    expect(server.connections.map(({ user, rooms }) => [user, rooms])).toEqual([
      ['ann', [ROOM]],
      ['ben', [ROOM]],
    ]);
  });

  it('appends what others wrote, once for each tag, and refuses what no server stores', async () => {
    const ann = await open('ann');
    const event = server.append(ROOM, { data: { text: 'x' }, author: 'ben' });
    expect(server.append(ROOM, { data: { text: 'x' }, author: 'ben', tag: event.tag })).toBe(event);
    for await (const list of ann.room(ROOM).messages.list) if (list.length === 1) break;
    expect(ann.room(ROOM).messages.list.get()[0]).toMatchObject({ seq: 1, author: 'ben', own: false });
    expect(() => server.append('nowhere', { data: 1 })).toThrow(/bad_room/);
    expect(() => server.append(ROOM, { data: undefined })).toThrow(/bad_data/);
    expect(() => server.append(ROOM, { data: 1, tag: 'x' })).toThrow(/bad_tag/);
    expect(server.log(ROOM)).toHaveLength(1);
  });

  it('refuses what the test tells it to, by count or by a hook', async () => {
    const { messages } = (await open('ann')).room(ROOM);
    server.refuse({ code: 'rate_limited', retryAfterMs: 1 });
    await expect(messages.send({ text: 'later' })).resolves.toMatchObject({ seq: 1 });
    server.beforeAppend(({ data }) =>
      (data as { text: string }).text === 'rude' ? { code: 'refused', title: 'Be kind.' } : undefined,
    );
    const rude = messages.send({ text: 'rude' });
    await expect(messages.send({ text: 'fine' })).resolves.toMatchObject({ seq: 2 });
    await expect(rude).rejects.toMatchObject({ code: 'refused', message: 'Be kind.', retryable: false });
    server.beforeAppend(undefined);
    await expect(rude.retry()).resolves.toMatchObject({ seq: 3 });
  });

  it('stores what it says is unknown, where it is told to: the repeat is the same event (ACK-5, TAG-3)', async () => {
    const { messages } = (await open('ann')).room(ROOM);
    server.refuse({ code: 'outcome_unknown', stored: true });
    await expect(messages.send({ text: 'x' })).resolves.toMatchObject({ seq: 1 });
    expect(server.log(ROOM)).toHaveLength(1);
  });

  it('takes a room away and gives it back', async () => {
    const ann = await open('ann');
    server.deny('ann', ROOM);
    for await (const { state } of ann.room(ROOM).status) if (state === 'denied') break;
    expect(ann.room(ROOM).status.get().error?.code).toBe('unknown_room');
    server.allow('ann', ROOM);
    server.network.cut();
    for await (const { state } of ann.room(ROOM).status) if (state === 'live') break;
  });

  it('resets: a new numbering, retention, a deleted room', async () => {
    const ann = await open('ann');
    const reasons: string[] = [];
    ann.room(ROOM).on('reset', ({ reason }) => reasons.push(reason));
    const seqs = () =>
      ann
        .room(ROOM)
        .messages.list.get()
        .map(({ seq }) => seq);
    const shows = (n: number) => vi.waitUntil(() => seqs().length === n, { timeout: 60_000 });
    for (let i = 0; i < 4; i++) server.append(ROOM, { data: { text: 'x' } });
    await shows(4);
    server.reset(ROOM, { lost: 1 });
    await shows(3);
    server.prune(ROOM, 3);
    expect(server.log(ROOM).map(({ seq }) => seq)).toEqual([3]);
    server.reset(ROOM);
    await shows(1);
    server.delete(ROOM);
    await shows(0);
    expect(reasons).toEqual(['epoch', 'epoch', 'epoch']);
    expect(server.log(ROOM)).toEqual([]);
  });

  it('has history over its own fetch', async () => {
    for (let i = 1; i <= 30; i++) server.append(ROOM, { data: { text: `m${i}` } });
    const page = await server.client().room(ROOM).messages.history({ before: 11, limit: 3 });
    expect(page.items.map(({ seq }) => seq)).toEqual([8, 9, 10]);
    expect(server.requests.map(({ path }) => path)).toEqual([`/v1/rooms/${ROOM}/events`]);
  });

  it('grants what it is told to', async () => {
    const grants = [{ rooms: 'chat:*', can: ['read'] }] as const;
    const { messages } = server.client({ user: 'eve', grants }).room(ROOM);
    const sent = messages.send({ text: 'x' });
    server.client({ user: 'eve', grants }).room(ROOM).attach();
    await expect(messages.history()).resolves.toMatchObject({ items: [] });
    const eve = server.client({ user: 'eve', grants });
    await eve.connect();
    await expect(eve.room(ROOM).messages.send({ text: 'x' })).rejects.toMatchObject({ code: 'forbidden' });
    sent.cancel();
  });

  it('says what the real server says (spec/errors.json)', () => {
    interface Code {
      code: string;
      status: number;
      close: number | null;
      retryable: boolean;
      title: string;
    }
    const path = new URL('../../spec/errors.json', import.meta.url);
    const { codes } = JSON.parse(readFileSync(path, 'utf8')) as { codes: Code[] };
    const real = new Map(codes.map(each => [each.code, each]));
    for (const [code, [status, retryable, title, close]] of Object.entries(KNOWN)) {
      const want = real.get(code) as Code;
      expect({ code, status, retryable: retryable === 1, close: close ?? null }).toEqual({
        code,
        status: want.status,
        retryable: want.retryable,
        close: want.close,
      });
      if (title !== undefined) expect(title).toBe(want.title);
    }
  });
});

describe('a clock', () => {
  let clock: TestClock;
  let server: TestServer;
  beforeEach(() => {
    clock = createTestClock();
    server = createTestServer();
  });
  afterEach(async () => {
    await server.close();
    clock.restore();
  });

  it('stands still, goes on as it is told, and gives the real time back', async () => {
    const real = { setTimeout: globalThis.setTimeout, Date: globalThis.Date };
    const heard: string[] = [];
    setTimeout(() => heard.push('b'), 20);
    setTimeout(() => heard.push('a'), 10);
    const every = setInterval(() => heard.push('i'), 15);
    const cancelled = setTimeout(() => heard.push('never'), 1);
    clearTimeout(cancelled);
    const limit = AbortSignal.timeout(25);
    expect(new Date().toISOString()).toBe('2026-01-01T00:00:00.000Z');
    await clock.advance(19);
    expect([heard, limit.aborted, performance.now()]).toEqual([['a', 'i'], false, 19]);
    await clock.advance(11);
    expect([heard, limit.aborted]).toEqual([['a', 'i', 'b', 'i'], true]);
    expect([Date.now(), new Date().toISOString()]).toEqual([clock.now(), '2026-01-01T00:00:00.030Z']);
    expect(clock.timers).toBe(1);
    clearInterval(every);
    expect(clock.timers).toBe(0);
    clock.restore();
    expect(globalThis.setTimeout).not.toBe(real.setTimeout);
    expect(new Date() instanceof globalThis.Date).toBe(true);
    await new Promise(resolve => setTimeout(resolve, 1)); // real time passes
    clock = createTestClock();
  });

  it('what a timer starts is done before the next one comes', async () => {
    const order: string[] = [];
    setTimeout(async () => {
      await Promise.resolve();
      await new Response('x').text();
      order.push('first');
    }, 1);
    setTimeout(() => order.push('second'), 1);
    await clock.advance(1);
    expect(order).toEqual(['first', 'second']);
  });

  it('draws the same every time', () => {
    const drawn = [Math.random(), Math.random()];
    clock.restore();
    clock = createTestClock();
    expect([Math.random(), Math.random()]).toEqual(drawn);
    expect(drawn.every(x => x > 0 && x < 1)).toBe(true);
  });

  async function live(): Promise<Client> {
    const client = server.client({ transports: ['websocket'] });
    client.room(ROOM).attach();
    await clock.advance(0);
    expect(client.room(ROOM).status.get().state).toBe('live');
    return client;
  }

  it('a cut: what is sent meanwhile waits, and flows on once', async () => {
    const client = await live();
    server.network.cut();
    client.room(ROOM).messages.send({ text: 'x' });
    expect(client.status.get().state).toBe('reconnecting');
    expect(shown(client)).toEqual(['x queued']);
    await clock.advance(1_000);
    expect(shown(client)).toEqual(['x sent']);
  });

  it('a black hole: the client finds out by itself, and comes back when it is over', async () => {
    const client = await live();
    server.network.blackhole();
    client.room(ROOM).messages.send({ text: 'x' });
    await clock.advance(4_000);
    expect(client.status.get().state).toBe('connected');
    await clock.advance(2_000);
    expect(client.status.get().state).toBe('reconnecting');
    server.network.restore();
    await clock.advance(30_000);
    expect(shown(client)).toEqual(['x sent']);
    expect(server.log(ROOM)).toHaveLength(1);
  });

  it('a lost ack: stored, cut before the answer, sent again, stored once (TAG-3)', async () => {
    const client = await live();
    server.network.dropAcks(2);
    client.room(ROOM).messages.send({ text: 'x' });
    await clock.advance(0);
    expect(server.log(ROOM)).toHaveLength(1);
    expect(shown(client)).toEqual(['x queued']);
    await clock.advance(5_000);
    expect(shown(client)).toEqual(['x sent']);
    expect(server.log(ROOM)).toHaveLength(1);
  });

  it('a delay: there and back', async () => {
    const client = await live();
    server.network.delay(100);
    client.room(ROOM).messages.send({ text: 'x' });
    await clock.advance(199);
    expect([shown(client), server.log(ROOM).length]).toEqual([['x sending'], 1]);
    await clock.advance(1);
    expect(shown(client)).toEqual(['x sent']);
  });

  it('a restart: told when to come back', async () => {
    const client = await live();
    server.restart(7_000);
    await clock.advance(0);
    expect(client.status.get().reason?.code).toBe('going_away');
    await clock.advance(6_999);
    expect(client.status.get().state).toBe('reconnecting');
    await clock.advance(1);
    expect(client.status.get().state).toBe('connected');
  });

  it('who comes back from below the floor is reset, and who is there notices nothing (RET-2)', async () => {
    const [there, away] = [await live(), server.client({ user: 'ann', transports: ['websocket'] })];
    const reasons: string[] = [];
    for (const client of [there, away])
      client.room(ROOM).on('reset', ({ reason }) => reasons.push(`${client.user} ${reason}`));
    const add = () => server.append(ROOM, { data: { text: 'x' } });
    add();
    away.room(ROOM).attach();
    await clock.advance(0);
    expect(away.room(ROOM).status.get().seq).toBe(1);
    await away.close();
    for (let i = 0; i < 4; i++) add();
    server.prune(ROOM, 4);
    void away.connect();
    await clock.advance(1_000);
    expect(reasons).toEqual(['ann pruned']);
    const seqs = (client: Client) =>
      client
        .room(ROOM)
        .messages.list.get()
        .map(({ seq }) => seq);
    expect([seqs(there), seqs(away)]).toEqual([
      [1, 2, 3, 4, 5],
      [4, 5],
    ]);
  });

  it('tokens that are over, and access that is taken back', async () => {
    const client = await live();
    server.expireTokens('u1');
    await clock.advance(1_000);
    expect(client.status.get().state).toBe('connected');
    server.revoke('u1');
    await clock.advance(1_000);
    expect(client.status.get()).toMatchObject({ state: 'failed', reason: { code: 'revoked' } });
  });

  it('a request in a black hole runs into its time limit', async () => {
    const client = await live();
    server.network.blackhole();
    const reading = client
      .room(ROOM)
      .messages.history()
      .catch((error: unknown) => error);
    await clock.advance(15_000);
    expect(await reading).toMatchObject({ code: 'network' });
  });

  it('a silent client is cut (BEAT-3)', async () => {
    const socket = new server.WebSocket(server.url);
    socket.onopen = () => socket.send(JSON.stringify({ op: 'hello', token: server.token('mute') }));
    let code = 0;
    socket.onclose = (event: { code: number }) => {
      code = event.code;
    };
    await clock.advance(19_999);
    expect([code, server.connections.length]).toEqual([0, 1]);
    await clock.advance(1);
    expect([code, server.connections.length]).toEqual([4001, 0]);
  });
});
