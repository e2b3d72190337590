import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, createClient, type TransportName } from '../src/index.js';
import { createTestServer, type TestServer } from '../src/testing/index.js';
import { ack, FakeNetwork, joined, tagOf } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const told = (client: Client) => {
  const { node, degraded } = client.status.get();
  return { node, degraded };
};

// Several nodes behind one address, as one client sees them: NODE-1 to NODE-4.
describe('the nodes of a server', () => {
  let server: TestServer;
  beforeEach(async () => {
    await Promise.all([
      import('../src/transport/fallback.js'),
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
      import('../src/transport/http/poll.js'),
    ]);
    vi.useFakeTimers();
    server = createTestServer({ node: 'a1' });
  });
  afterEach(async () => {
    await server.close();
    vi.useRealTimers();
  });

  const live = async (transport: TransportName) => {
    const client = server.client({ transports: [transport] });
    const room = client.room('chat:a');
    room.attach();
    await pass(100);
    expect(room.status.get().state).toBe('live');
    return client;
  };

  it.each(['websocket', 'sse', 'poll'] as const)(
    'says which node it is on, and what that does without, over %s',
    async transport => {
      server.append('chat:a', { data: { text: 'x' } });
      const client = await live(transport);
      expect(told(client)).toEqual({ node: 'a1', degraded: [] });
      const before = client.status.get();
      server.degrade('bus');
      server.append('chat:a', { data: { text: 'y' } }); // who polls hears of it with the next answer
      await pass(100);
      expect(told(client)).toEqual({ node: 'a1', degraded: ['bus'] });
      expect(client.status.get()).not.toBe(before);
      expect(client.status.get().state).toBe('connected');

      // Who comes meanwhile hears of it too.
      const late = await live(transport);
      await pass(60_000);
      expect(told(late)).toEqual({ node: 'a1', degraded: ['bus'] });
      const during = late.status.get().degraded;

      server.degrade();
      server.append('chat:a', { data: { text: 'z' } });
      await pass(100);
      for (const each of [client, late]) expect(told(each)).toEqual({ node: 'a1', degraded: [] });
      expect(during).toEqual(['bus']);
      await client.close();
      expect(told(client)).toEqual({ node: undefined, degraded: [] });
    },
  );

  it('forgets both with the connection, and takes a stream that is taken up anew as all well', async () => {
    const client = await live('websocket');
    server.degrade('bus');
    await pass(100);
    server.network.offline();
    expect(told(client)).toEqual({ node: undefined, degraded: [] });
    server.degrade();
    server.network.restore();
    client.retryNow();
    await pass(1_000);
    expect(told(client)).toEqual({ node: 'a1', degraded: [] });

    const stream = await live('sse');
    server.degrade('bus');
    await pass(100);
    expect(told(stream).degraded).toEqual(['bus']);
    server.network.cut();
    server.degrade();
    await pass(5_000);
    expect(stream.status.get().state).toBe('connected');
    expect(told(stream)).toEqual({ node: 'a1', degraded: [] });
  });

  it('is not named by a server that has no name', async () => {
    server = createTestServer();
    for (const transport of ['websocket', 'sse', 'poll'] as const)
      expect(told(await live(transport))).toEqual({ node: undefined, degraded: [] });
  });

  it('says over polls what was acked and has not come yet (NODE-4)', async () => {
    // Another node acks; this one has not heard of it, and answers with what it has unless it is told better.
    const claims: (string | null)[] = [];
    const client = server.client({
      transports: ['poll'],
      fetch: async (input, init) => {
        const url = new URL(String(input));
        const answer = await server.fetch(input, init);
        if (!url.searchParams.has('wait')) return answer;
        claims.push(url.searchParams.get('seen'));
        if (url.searchParams.has('seen')) return answer;
        const page = await answer.json();
        return Response.json({
          ...page,
          seq: page.prev,
          head: page.prev,
          position: `e1:${page.prev}`,
          events: [],
        });
      },
    });
    const room = client.room('chat:a');
    room.attach();
    await pass(100);
    await room.messages.send({ text: 'x' });
    await pass(5_000);
    expect(claims.slice(0, 2)).toEqual([null, '1']);
    expect(room.status.get()).toMatchObject({ state: 'live', seq: 1 });
    await client.close();
  });
});

describe('what was acked before a join (NODE-4)', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is told with it, where the cursor has not come to it', async () => {
    const network = new FakeNetwork();
    const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
    const room = client.room('chat:a');
    room.attach();
    await pass(0);
    let socket = network.last.welcome();
    const first = socket.take('join');
    expect(first).not.toHaveProperty('seen');
    socket.say(joined(first.id, 0, 2));
    room.messages.send({ text: 'x' }, { tag: tagOf(1) });
    const sent = socket.take('send');
    socket.say(ack(sent, 5));
    socket.end();
    await pass(20_000);
    socket = network.last.welcome();
    const second = socket.take('join');
    expect(second).toMatchObject({ position: 'e:2', seen: 5 });
    socket.say(joined(second.id, 2, 5));
    socket.end();
    await pass(20_000);
    const third = network.last.welcome().take('join'); // the cursor is there
    expect(third).toMatchObject({ position: 'e:5' });
    expect(third).not.toHaveProperty('seen');
    await client.close();
  });

  it('counts for a room that was only sent to, and not for another numbering', async () => {
    const network = new FakeNetwork();
    const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
    const room = client.room('chat:a');
    void client.connect();
    await pass(0);
    const socket = network.last.welcome();
    room.messages.send({ text: 'x' }, { tag: tagOf(1) });
    socket.say(ack(socket.take('send'), 9));
    room.attach();
    const join = socket.take('join');
    expect(join).toMatchObject({ seen: 9 });
    expect(join).not.toHaveProperty('position');
    socket.say(joined(join.id, 0, 9));
    socket.say({ op: 'reset', room: 'chat:a', reason: 'epoch', epoch: 'other', floor: 1, head: 0 });
    const anew = socket.take('join');
    expect(anew).not.toHaveProperty('seen');
    expect(anew).not.toHaveProperty('position');
    await client.close();
  });
});
