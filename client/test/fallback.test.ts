import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, type ClientOptions, createClient, type LostConnection } from '../src/index.js';
import { FakeHttp, TOKEN } from './fake/http.js';
import { FakeServer } from './fake/server.js';
import { FakeNetwork, type FakeSocket, tagOf } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const name = (client: Client) => client.status.get().transport;
const refuse = (socket: FakeSocket) => queueMicrotask(() => socket.end(1006));

/** A server whose sockets and requests both work, until the test puts something in between. */
function setUp(options: Partial<ClientOptions> = {}) {
  const network = new FakeNetwork();
  const server = new FakeServer(network);
  const http = new FakeHttp(server);
  vi.stubGlobal('fetch', http.fetch);
  const client = createClient({ url: 'http://h:1', token: TOKEN, WebSocket: network.WebSocket, ...options });
  const room = client.room('chat:a');
  const seqs = () => room.messages.list.get().map(message => message.seq);
  return { network, server, http, client, room, seqs, sockets: network.onDial };
}

describe('fallbacks', () => {
  beforeEach(async () => {
    // Loaded before time is faked: loading takes real time.
    await Promise.all([
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
      import('../src/transport/http/poll.js'),
    ]);
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('takes server-sent events where upgrades are blocked, and long polls where streams are held back too', async () => {
    const { network, server, http, client, room, seqs } = setUp();
    network.onDial = refuse;
    server.append('u2', tagOf(1), { text: 'a' });
    room.attach();
    await pass(2_000);
    expect(name(client)).toBe('sse');
    expect(client.user).toBe('u1');
    server.append('u2', tagOf(2), { text: 'b' });
    await pass(100);
    expect(seqs()).toEqual([1, 2]);
    expect(room.status.get().state).toBe('live');
    http.buffers = true;
    for (const stream of [...http.streams]) stream.cut();
    await pass(7_000);
    server.append('u2', tagOf(3), { text: 'c' });
    await pass(500);
    expect(name(client)).toBe('poll');
    expect(seqs()).toEqual([1, 2, 3]);
    await client.close();
  });

  it('does not wait for an upgrade that hangs when plain HTTP answers', async () => {
    const { network, client, room } = setUp();
    network.onDial = () => {};
    room.attach();
    await pass(3_900);
    expect(name(client)).toBeUndefined();
    await pass(600);
    expect(name(client)).toBe('sse');
    await client.close();
  });

  it('does not take a server that comes back between two requests for a blocked upgrade', async () => {
    const { network, http, client, room, sockets } = setUp();
    network.onDial = socket => {
      refuse(socket);
      network.onDial = sockets; // it is up again a moment later, when plain HTTP is asked
    };
    room.attach();
    await pass(2_000);
    expect(http.paths()).toContain('GET /healthz');
    expect(name(client)).toBe('websocket');
    await client.close();
  });

  it('stays with the first while nothing answers: that is the network, not the transport', async () => {
    const { network, http, client, room, sockets } = setUp();
    network.onDial = refuse;
    http.down = true;
    room.attach();
    await pass(120_000);
    expect(http.paths().filter(path => path !== 'GET /healthz')).toEqual([]);
    http.down = false;
    network.onDial = sockets;
    await pass(20_000);
    expect(name(client)).toBe('websocket');
    await client.close();
  });

  it('gives a transport up that is cut short three times in a row, not one that held or that the server closed', async () => {
    const { network, server, client, room } = setUp();
    room.attach();
    await pass(1_000);
    for (let i = 0; i < 5; i++) {
      server.drop(1012);
      await pass(5_000);
    }
    expect(name(client)).toBe('websocket');
    server.drop();
    await pass(5_000);
    await pass(61_000);
    server.drop();
    await pass(5_000);
    server.drop();
    await pass(5_000);
    server.drop();
    await pass(20_000);
    expect(name(client)).toBe('websocket');
    server.drop();
    await pass(20_000);
    expect(name(client)).toBe('sse');
    expect(network.sockets.length).toBeGreaterThan(8);
    await client.close();
  });

  describe.each([false, true])(
    'a proxy that cuts each connection at 30 s, streams held back: %s',
    holdsBack => {
      it('ends on what holds: nothing is lost, no loss is said, and the first is tried ever more rarely', async () => {
        const { network, server, http, client, room, seqs } = setUp();
        http.buffers = holdsBack;
        const { onDial } = network;
        network.onDial = socket => {
          onDial(socket);
          setTimeout(() => socket.readyState === 1 && socket.end(1006), 30_000);
        };
        // As a browser does it: one connection is kept for what is asked one after the other.
        let cutAt = 0;
        vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
          if (Date.now() >= cutAt) cutAt = Date.now() + 30_000;
          const cut = new AbortController();
          const timer = setTimeout(() => cut.abort(), cutAt - Date.now());
          const signal = AbortSignal.any([cut.signal, init.signal as AbortSignal]);
          const answer = await http.fetch(input, { ...init, signal });
          if (!input.includes('/v1/sse')) clearTimeout(timer);
          return answer;
        });
        const said: LostConnection[] = [];
        client.on('lost-connection', what => said.push(what));
        let drops = 0;
        client.status.subscribe(() => {
          if (client.status.get().state !== 'connected') drops++;
        });
        room.attach();
        const talk = async (minutes: number) => {
          for (let s = 0; s < minutes * 60; s += 7) {
            room.messages.send({ text: `${s}` });
            server.append('u2', tagOf(server.head + 1), { text: 'x' });
            await pass(7_000);
          }
        };
        await talk(5);
        expect(name(client)).toBe(holdsBack ? 'poll' : 'sse');
        await talk(30);
        expect(name(client)).toBe(holdsBack ? 'poll' : 'sse');
        const [dialled, dropped] = [network.sockets.length, drops];
        await talk(30);
        await pass(1_000);
        // Once in ten minutes the first is tried, opens, and is given up when it is cut.
        expect(network.sockets.length - dialled).toBeLessThanOrEqual(8);
        expect(drops - dropped).toBeLessThanOrEqual(24);
        expect(said).toEqual([]);
        // A wait that was cut for the age of its connection is no reason to wait less.
        const waits = new Set(http.asked.map(({ query }) => query.get('wait')));
        expect([...waits].filter(wait => wait !== null)).toEqual(holdsBack ? ['25'] : []);
        expect(seqs()).toEqual(server.log.map(event => event.seq));
        expect(room.status.get()).toMatchObject({ state: 'live', gaps: 0 });
        expect(client.status.get().pendingSends).toBe(0);
        expect(new Set(server.log.map(event => event.tag)).size).toBe(server.log.length);
        await client.close();
      }, 60_000);
    },
  );

  it('tries the first again, ever more rarely, and moves back when it opens', async () => {
    const { network, server, http, client, room, seqs, sockets } = setUp();
    network.onDial = refuse;
    room.attach();
    await pass(2_000);
    expect(name(client)).toBe('sse');
    const before = network.sockets.length;
    await pass(20_000);
    for (const stream of [...http.streams]) stream.cut(); // a link that is new does not put it off
    await pass(75_000); // after 30 s, and 60 s after that
    expect(network.sockets.length - before).toBe(2);
    expect(name(client)).toBe('sse');
    network.onDial = sockets;
    await pass(120_000);
    expect(name(client)).toBe('websocket');
    server.append('u2', tagOf(1), { text: 'a' });
    await pass(100);
    expect(seqs()).toEqual([1]);
    await client.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  describe.each(['sse', 'poll'] as const)('%s', transport => {
    const only = (options: Partial<ClientOptions> = {}) => setUp({ transports: [transport], ...options });

    it('keeps the order of sends however long each takes, one event each (SEND-8, HTTP-4, TAG-3)', async () => {
      const { server, http, client, room } = only();
      let n = 0;
      http.latencyMs = () => [40, 5, 90, 1][n++ % 4] as number;
      http.verdicts.push('unknown-stored', 'rate_limited', 'lost', 'unknown-lost');
      room.attach();
      await pass(500);
      for (let i = 0; i < 12; i++) room.messages.send({ text: `t${i}` });
      await pass(30_000);
      expect(server.log.map(event => (event.data as { text: string }).text)).toEqual(
        Array.from({ length: 12 }, (_, i) => `t${i}`),
      );
      expect(room.messages.list.get().map(m => [m.seq, m.delivery])).toEqual(
        Array.from({ length: 12 }, (_, i) => [i + 1, 'sent']),
      );
      expect(client.status.get().pendingSends).toBe(0);
      await client.close();
    });

    it('a send refused for good is failed, and those behind it go on (SEND-5)', async () => {
      const { http, client, room } = only();
      room.attach();
      await pass(500);
      http.verdicts.push('forbidden');
      room.messages.send({ text: 'a' });
      room.messages.send({ text: 'b' });
      await pass(500);
      expect(room.messages.list.get().map(m => m.delivery)).toEqual(['sent', 'failed']);
      await client.close();
    });

    it('goes on from its position after a cut, nothing lost and nothing twice (SSE-8, POLL-4)', async () => {
      const { server, http, client, room, seqs } = only();
      for (let i = 1; i <= 3; i++) server.append('u2', tagOf(i), { text: 'x' });
      room.attach();
      await pass(500);
      http.down = true;
      for (const stream of [...http.streams]) stream.cut();
      await pass(60_000);
      expect(client.status.get().state).toBe('reconnecting');
      for (let i = 4; i <= 700; i++) server.append('u2', tagOf(i), { text: 'x' });
      http.down = false;
      await pass(30_000);
      expect(client.status.get().state).toBe('connected');
      expect(seqs()).toEqual(Array.from({ length: 700 }, (_, i) => i + 1));
      expect(room.status.get().gaps).toBe(0);
      await client.close();
    });

    it('is reset, live and on coming back, and takes the latest page (RESET-3, SSE-7, RESET-5)', async () => {
      const { server, client, room, seqs } = only();
      const reasons: string[] = [];
      room.on('reset', ({ reason }) => reasons.push(reason));
      for (let i = 1; i <= 5; i++) server.append('u2', tagOf(i), { text: 'x' });
      room.attach();
      await pass(500);
      server.restore(3);
      await pass(2_000);
      expect(reasons).toEqual(['epoch']);
      expect(seqs()).toEqual([1, 2]);
      server.append('u2', tagOf(9), { text: 'y' });
      await pass(2_000);
      expect(seqs()).toEqual([1, 2, 3]);
      await client.close();
    });

    it('replays no more than it was asked to: more is a reset (JOIN-6)', async () => {
      const { server, client } = only({ replay: 10, limit: 4 });
      for (let i = 1; i <= 20; i++) server.append('u2', tagOf(i), { text: 'x' });
      const room = client.room('chat:b', { position: `${server.epoch}:3` });
      const reasons: string[] = [];
      room.on('reset', ({ reason }) => reasons.push(reason));
      room.attach();
      await pass(1_000);
      expect(reasons).toEqual(['too_far']);
      expect(room.messages.list.get().map(message => message.seq)).toEqual([17, 18, 19, 20]);
      await client.close();
    });

    it.each([
      [401, 'unauthenticated', 'failed'],
      [403, 'revoked', 'failed'],
      [503, 'overloaded', 'reconnecting'],
    ])('a hello that is answered %i %s', async (status, code, state) => {
      const { http, client } = only();
      http.refusal = { status, code, retryable: state !== 'failed' };
      client.connect().catch(() => {});
      await pass(300);
      expect(client.status.get()).toMatchObject({ state, reason: { code } });
      await client.close();
    });

    it('asks a silent server whether it is there, and leaves when it is not (BEAT-5)', async () => {
      const { http, client, room } = only();
      room.attach();
      await pass(500);
      await pass(100_000);
      expect(client.status.get().state).toBe('connected');
      http.latencyMs = () => 3_600_000;
      client.retryNow();
      await pass(2_500);
      expect(client.status.get().state).toBe('reconnecting');
      await client.close();
      expect(http.streams.size).toBe(0);
    });
  });

  it('a stream that the server ends says when to come back (SSE-10)', async () => {
    const { http, client, room } = setUp({ transports: ['sse'] });
    room.attach();
    await pass(500);
    for (const stream of [...http.streams]) stream.end('retry: 7000\n\n');
    await pass(1);
    expect((client.status.get().retryAt as number) - Date.now()).toBeGreaterThan(6_900);
    await client.close();
  });

  it('one stream follows all rooms, each from its own position (SSE-4, SESS-4)', async () => {
    const { server, http, client, room } = setUp({ transports: ['sse'] });
    server.append('u2', tagOf(1), { text: 'x' });
    room.attach();
    client.room('chat:b').attach();
    await pass(500);
    const streams = http.asked.filter(({ path }) => path === '/v1/sse');
    expect(streams.at(-1)?.query.getAll('room')).toEqual(['chat:a', 'chat:b']);
    expect(streams.at(-1)?.headers['last-event-id']).toBe('chat:a=e1:1,chat:b=e1:1');
    expect(streams.at(-1)?.headers.authorization).toBe(`Bearer ${TOKEN}`);
    expect(http.streams.size).toBe(1);
    server.append('u2', tagOf(2), { text: 'x' });
    await pass(100);
    client.room('chat:c').attach(); // another stream, from where the pages were taken up to
    await pass(500);
    expect(http.asked.filter(({ path }) => path === '/v1/sse').at(-1)?.headers['last-event-id']).toContain(
      'chat:a=e1:2,',
    );
    await client.close();
  });

  it('polls that something cuts wait less and go on', async () => {
    const { server, http, client, room, seqs } = setUp({ transports: ['poll'] });
    room.attach();
    await pass(500);
    const through = http.fetch;
    vi.stubGlobal('fetch', (input: string, init: RequestInit = {}) => {
      const cut = new AbortController();
      setTimeout(() => cut.abort(), 8_000);
      return through(input, { ...init, signal: AbortSignal.any([cut.signal, init.signal as AbortSignal]) });
    });
    await pass(120_000);
    expect(client.status.get()).toMatchObject({ state: 'connected', attempt: 0 });
    expect(http.asked.at(-1)?.query.get('wait')).toBe('7');
    server.append('u2', tagOf(1), { text: 'x' });
    await pass(200);
    expect(seqs()).toEqual([1]);
    await client.close();
  });
});
