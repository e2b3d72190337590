import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Client, LostConnection } from '../src/index.js';
import { createTestServer, type TestClientOptions } from '../src/testing/index.js';
import { FakeNetwork } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const name = (client: Client) => client.status.get().transport;

/** A server whose sockets and requests both work, until the test puts something in between. */
function setUp(options: TestClientOptions = {}) {
  const server = createTestServer();
  const { network } = server;
  network.delay(3);
  const tried = { dials: 0, paths: [] as string[] };
  const client = server.client({
    WebSocket: class extends server.WebSocket {
      constructor(url: string) {
        super(url);
        tried.dials++;
      }
    },
    fetch: (input, init) => {
      tried.paths.push(new URL(String(input)).pathname);
      return server.fetch(input, init);
    },
    ...options,
  });
  const room = client.room('chat:a');
  const append = (text = 'x') => void server.append('chat:a', { data: { text } });
  const seqs = () => room.messages.list.get().map(message => message.seq);
  return { network, server, tried, client, room, append, seqs };
}

describe('fallbacks', () => {
  beforeEach(async () => {
    // Loaded before time is faked: loading takes real time.
    await Promise.all([
      import('../src/transport/fallback.js'),
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
      import('../src/transport/http/poll.js'),
    ]);
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('takes server-sent events where upgrades are blocked, and long polls where streams are held back too', async () => {
    const { network, client, room, append, seqs } = setUp();
    network.block('websocket');
    append();
    room.attach();
    await pass(2_000);
    expect(name(client)).toBe('sse');
    expect(client.user).toBe('u1');
    append();
    await pass(100);
    expect(seqs()).toEqual([1, 2]);
    expect(room.status.get().state).toBe('live');
    network.block('sse');
    await pass(7_000);
    append();
    await pass(500);
    expect(name(client)).toBe('poll');
    expect(seqs()).toEqual([1, 2, 3]);
    await client.close();
  });

  it('does not wait for an upgrade that hangs when plain HTTP answers', async () => {
    const { client, room } = setUp({ WebSocket: new FakeNetwork().WebSocket });
    room.attach();
    await pass(3_900);
    expect(name(client)).toBeUndefined();
    await pass(600);
    expect(name(client)).toBe('sse');
    await client.close();
  });

  it('does not take a server that comes back between two requests for a blocked upgrade', async () => {
    const up: ReturnType<typeof setUp> = setUp({
      fetch: (input, init) => {
        up.network.restore(); // it is up again a moment later, when plain HTTP is asked
        up.tried.paths.push(new URL(String(input)).pathname);
        return up.server.fetch(input, init);
      },
    });
    const { network, tried, client, room } = up;
    network.block('websocket');
    room.attach();
    await pass(2_000);
    expect(tried.paths).toContain('/healthz');
    expect(name(client)).toBe('websocket');
    await client.close();
  });

  it('stays with the first while nothing answers: that is the network, not the transport', async () => {
    const { network, tried, client, room } = setUp();
    network.offline();
    room.attach();
    await pass(120_000);
    expect(new Set(tried.paths)).toEqual(new Set(['/healthz']));
    network.restore();
    await pass(20_000);
    expect(name(client)).toBe('websocket');
    await client.close();
  });

  it('gives a transport up that is cut short three times in a row, not one that held or that the server closed', async () => {
    const { network, server, tried, client, room } = setUp();
    room.attach();
    await pass(1_000);
    for (let i = 0; i < 5; i++) {
      server.restart();
      await pass(5_000);
    }
    expect(name(client)).toBe('websocket');
    network.cut();
    await pass(5_000);
    await pass(61_000);
    network.cut();
    await pass(5_000);
    network.cut();
    await pass(5_000);
    network.cut();
    await pass(20_000);
    expect(name(client)).toBe('websocket');
    network.cut();
    await pass(20_000);
    expect(name(client)).toBe('sse');
    expect(tried.dials).toBeGreaterThan(8);
    await client.close();
  });

  describe.each([false, true])(
    'a proxy that cuts each connection at 30 s, streams held back: %s',
    holdsBack => {
      it('ends on what holds: nothing is lost, no loss is said, and the first is tried ever more rarely', async () => {
        const server = createTestServer();
        server.network.delay(3);
        if (holdsBack) server.network.block('sse');
        let dials = 0;
        const waits = new Set<string>();
        // As a browser does it: one connection is kept for what is asked one after the other.
        let cutAt = 0;
        const client = server.client({
          WebSocket: class extends server.WebSocket {
            constructor(url: string) {
              super(url);
              dials++;
              setTimeout(() => {
                const { onclose } = this;
                this.onmessage = this.onclose = null;
                this.close();
                onclose?.({ code: 1006, reason: '' } as never);
              }, 30_000);
            }
          },
          fetch: async (input, init = {}) => {
            const { pathname, searchParams } = new URL(String(input));
            waits.add(searchParams.get('wait') ?? '');
            if (Date.now() >= cutAt) cutAt = Date.now() + 30_000;
            const cut = new AbortController();
            const timer = setTimeout(() => cut.abort(), cutAt - Date.now());
            const signal = AbortSignal.any([cut.signal, init.signal as AbortSignal]);
            const answer = await server.fetch(input, { ...init, signal });
            if (pathname !== '/v1/sse') clearTimeout(timer);
            return answer;
          },
        });
        const room = client.room('chat:a');
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
            server.append('chat:a', { data: { text: 'x' } });
            await pass(7_000);
          }
        };
        await talk(5);
        expect(name(client)).toBe(holdsBack ? 'poll' : 'sse');
        await talk(30);
        expect(name(client)).toBe(holdsBack ? 'poll' : 'sse');
        const [dialled, dropped] = [dials, drops];
        await talk(30);
        await pass(1_000);
        // Once in ten minutes the first is tried, opens, and is given up when it is cut.
        expect(dials - dialled).toBeLessThanOrEqual(8);
        expect(drops - dropped).toBeLessThanOrEqual(24);
        expect(said).toEqual([]);
        // A wait that was cut for the age of its connection is no reason to wait less.
        waits.delete('');
        expect([...waits]).toEqual(holdsBack ? ['25'] : []);
        const log = server.log('chat:a');
        expect(room.messages.list.get().map(message => message.seq)).toEqual(log.map(event => event.seq));
        expect(room.status.get()).toMatchObject({ state: 'live', gaps: 0 });
        expect(client.status.get().pendingSends).toBe(0);
        expect(new Set(log.map(event => event.tag)).size).toBe(log.length);
        await client.close();
      });
    },
  );

  it('tries the first again, ever more rarely, and moves back when it opens', async () => {
    const { network, tried, client, room, append, seqs } = setUp();
    network.block('websocket');
    room.attach();
    await pass(2_000);
    expect(name(client)).toBe('sse');
    const before = tried.dials;
    await pass(20_000);
    network.cut(); // a link that is new does not put it off
    await pass(75_000); // after 30 s, and 60 s after that
    expect(tried.dials - before).toBe(2);
    expect(name(client)).toBe('sse');
    network.restore();
    await pass(120_000);
    expect(name(client)).toBe('websocket');
    append();
    await pass(100);
    expect(seqs()).toEqual([1]);
    await client.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  describe.each(['sse', 'poll'] as const)('%s', transport => {
    const only = (options: TestClientOptions = {}) => setUp({ transports: [transport], ...options });

    it('keeps the order of sends however long each takes, one event each (SEND-8, HTTP-4, TAG-3)', async () => {
      const { server, network, client, room } = only();
      let n = 0;
      network.delay(() => [40, 5, 90, 1][n++ % 4] as number);
      server.refuse({ code: 'outcome_unknown', stored: true });
      server.refuse({ code: 'rate_limited', retryAfterMs: 20 });
      server.refuse({ code: 'outcome_unknown' });
      room.attach();
      await pass(500);
      for (let i = 0; i < 12; i++) room.messages.send({ text: `t${i}` });
      await pass(2_000);
      network.dropAcks();
      await pass(30_000);
      expect(server.log('chat:a').map(event => (event.data as { text: string }).text)).toEqual(
        Array.from({ length: 12 }, (_, i) => `t${i}`),
      );
      expect(room.messages.list.get().map(m => [m.seq, m.delivery])).toEqual(
        Array.from({ length: 12 }, (_, i) => [i + 1, 'sent']),
      );
      expect(client.status.get().pendingSends).toBe(0);
      await client.close();
    });

    it('a send refused for good is failed, and those behind it go on (SEND-5)', async () => {
      const { server, client, room } = only();
      room.attach();
      await pass(500);
      server.refuse({ code: 'forbidden' });
      room.messages.send({ text: 'a' });
      room.messages.send({ text: 'b' });
      await pass(500);
      expect(room.messages.list.get().map(m => m.delivery)).toEqual(['sent', 'failed']);
      await client.close();
    });

    it('goes on from its position after a cut, nothing lost and nothing twice (SSE-8, POLL-4)', async () => {
      const { network, client, room, append, seqs } = only();
      for (let i = 1; i <= 3; i++) append();
      room.attach();
      await pass(500);
      network.offline();
      await pass(60_000);
      expect(client.status.get().state).toBe('reconnecting');
      for (let i = 4; i <= 700; i++) append();
      network.restore();
      await pass(30_000);
      expect(client.status.get().state).toBe('connected');
      expect(seqs()).toEqual(Array.from({ length: 700 }, (_, i) => i + 1));
      expect(room.status.get().gaps).toBe(0);
      await client.close();
    });

    it('is reset, live and on coming back, and takes the latest page (RESET-3, SSE-7, RESET-5)', async () => {
      const { server, client, room, append, seqs } = only();
      const reasons: string[] = [];
      room.on('reset', ({ reason }) => reasons.push(reason));
      for (let i = 1; i <= 5; i++) append();
      room.attach();
      await pass(500);
      server.reset('chat:a', { lost: 3 });
      await pass(2_000);
      expect(reasons).toEqual(['epoch']);
      expect(seqs()).toEqual([1, 2]);
      append();
      await pass(2_000);
      expect(seqs()).toEqual([1, 2, 3]);
      await client.close();
    });

    it('replays no more than it was asked to: more is a reset (JOIN-6)', async () => {
      const { server, client } = only({ replay: 10, limit: 4 });
      for (let i = 1; i <= 20; i++) server.append('chat:b', { data: { text: 'x' } });
      const [epoch] = server.position('chat:b').split(':');
      const room = client.room('chat:b', { position: `${epoch}:3` });
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
      const problem = { code, title: 'No.', retryable: state !== 'failed' };
      const { client } = only({ fetch: async () => Response.json(problem, { status }) });
      client.connect().catch(() => {});
      await pass(300);
      expect(client.status.get()).toMatchObject({ state, reason: { code } });
      await client.close();
    });

    it('asks a silent server whether it is there, and leaves when it is not (BEAT-5)', async () => {
      const { server, network, client, room } = only();
      room.attach();
      await pass(500);
      await pass(100_000);
      expect(client.status.get().state).toBe('connected');
      network.blackhole();
      client.retryNow();
      await pass(2_500);
      expect(client.status.get().state).toBe('reconnecting');
      await client.close();
      expect(server.connections).toEqual([]);
    });
  });

  it('a stream that the server ends says when to come back (SSE-10)', async () => {
    const { server, client, room } = setUp({ transports: ['sse'] });
    room.attach();
    await pass(500);
    server.restart(7_000);
    await pass(10);
    expect((client.status.get().retryAt as number) - Date.now()).toBeGreaterThan(6_900);
    await client.close();
  });

  it('one stream follows all rooms, each from its own position (SSE-4, SESS-4)', async () => {
    const { server, client, room, append } = setUp({ transports: ['sse'] });
    const streams = () => server.requests.filter(({ path }) => path === '/v1/sse');
    append();
    room.attach();
    client.room('chat:b').attach();
    await pass(500);
    expect(streams().at(-1)?.query.getAll('room')).toEqual(['chat:a', 'chat:b']);
    const positions = `chat:a=${server.position('chat:a')},chat:b=${server.position('chat:b')}`;
    expect(streams().at(-1)?.headers.get('last-event-id')).toBe(positions);
    expect(streams().at(-1)?.headers.get('authorization')).toMatch(/^Bearer test\./);
    expect(server.connections).toEqual([{ user: 'u1', transport: 'sse', rooms: ['chat:a', 'chat:b'] }]);
    append();
    await pass(100);
    client.room('chat:c').attach(); // another stream, from where the pages were taken up to
    await pass(500);
    expect(streams().at(-1)?.headers.get('last-event-id')).toContain(`chat:a=${server.position('chat:a')},`);
    await client.close();
  });

  it('polls that something cuts wait less and go on', async () => {
    const { server, client, room, append, seqs } = setUp({
      transports: ['poll'],
      fetch: (input, init = {}) => {
        const cut = new AbortController();
        setTimeout(() => cut.abort(), 8_000);
        const signal = AbortSignal.any([cut.signal, init.signal as AbortSignal]);
        return server.fetch(input, { ...init, signal });
      },
    });
    room.attach();
    await pass(120_000);
    expect(client.status.get()).toMatchObject({ state: 'connected', attempt: 0 });
    expect(server.requests.at(-1)?.query.get('wait')).toBe('7');
    append();
    await pass(200);
    expect(seqs()).toEqual([1]);
    await client.close();
  });
});
