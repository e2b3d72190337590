import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, createClient } from '../src/index.js';
import { FakeHttp, TOKEN } from './fake/http.js';
import { FakeServer } from './fake/server.js';
import { FakeNetwork, tagOf } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('plain HTTP with something odd in between', () => {
  let network: FakeNetwork;
  let server: FakeServer;
  let http: FakeHttp;
  let client: Client;

  beforeEach(async () => {
    // Loaded before time is faked: loading takes real time.
    await Promise.all([
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
      import('../src/transport/http/poll.js'),
    ]);
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    network = new FakeNetwork();
    server = new FakeServer(network);
    http = new FakeHttp(server);
    vi.stubGlobal('fetch', http.fetch);
    client = createClient({
      url: 'http://h:1',
      token: TOKEN,
      WebSocket: network.WebSocket,
      transports: ['sse', 'poll'],
    });
  });
  afterEach(async () => {
    await client.close();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('finds out that a stream is dead though requests beside it are answered', async () => {
    const room = client.room('chat:a');
    room.attach();
    await pass(1_000);
    expect(room.status.get().state).toBe('live');
    // The connection of the stream is black-holed: neither its end nor another byte ever comes.
    server.watchers.clear();
    for (const stream of [...http.streams]) http.streams.delete(stream);
    vi.spyOn(TextEncoder.prototype, 'encode').mockReturnValue(new Uint8Array());
    server.append('u2', tagOf(1), { text: 'unseen' });
    await pass(15_000);
    vi.mocked(TextEncoder.prototype.encode).mockRestore();
    for (let i = 0; i < 8; i++) {
      room.messages.send({ text: `mine ${i}` }); // answered, each of them: a sign of life of the server, not of the stream
      await pass(5_000);
    }
    expect(room.messages.list.get().map(message => message.data.text)).toContain('unseen');
  });

  it('does not take the page of a captive portal for a greeting', async () => {
    const portal = async () => new Response('<html>Please sign in</html>', { status: 200 });
    vi.stubGlobal('fetch', portal);
    void client.connect();
    await pass(30_000);
    expect(client.status.get().state).toBe('reconnecting');
    vi.stubGlobal('fetch', http.fetch);
    await pass(20_000);
    expect(client.status.get().state).toBe('connected');
  });

  it('polls where it follows more rooms than a stream may have', async () => {
    vi.stubGlobal('fetch', (input: string, init?: RequestInit) =>
      String(input).includes('/v1/sse')
        ? Promise.resolve(
            Response.json(
              { code: 'limit_exceeded', title: 'Too many rooms.', retryable: false, limit: 32 },
              { status: 400 },
            ),
          )
        : http.fetch(input, init),
    );
    const room = client.room('chat:a');
    room.attach();
    await pass(10_000);
    expect(client.status.get().transport).toBe('poll');
    expect(room.status.get().state).toBe('live');
  });

  it('asks no faster, and keeps its position, where polls are answered with what is not a page', async () => {
    await client.close();
    client = createClient({
      url: 'http://h:1',
      token: TOKEN,
      WebSocket: network.WebSocket,
      transports: ['poll'],
    });
    const room = client.room('chat:a');
    room.attach();
    await pass(1_000);
    let asked = 0;
    vi.stubGlobal('fetch', async (input: string, init?: RequestInit) => {
      if (!String(input).includes('wait=')) return http.fetch(input, init);
      asked++;
      return Response.json({});
    });
    server.append('u2', tagOf(1), { text: 'a' }); // ends the poll under way
    await pass(10_000);
    expect(asked).toBeLessThan(12);
    vi.stubGlobal('fetch', http.fetch);
    server.append('u2', tagOf(2), { text: 'b' });
    await pass(5_000);
    expect(room.messages.list.get().map(message => message.seq)).toEqual([1, 2]);
  });

  it('leaves no listener behind for each pause between polls', async () => {
    const added = vi.spyOn(AbortSignal.prototype, 'addEventListener');
    const removed = vi.spyOn(AbortSignal.prototype, 'removeEventListener');
    await client.close();
    client = createClient({
      url: 'http://h:1',
      token: TOKEN,
      WebSocket: network.WebSocket,
      transports: ['poll'],
    });
    for (const name of ['a', 'b', 'c', 'd']) client.room(`chat:${name}`).attach();
    await pass(5_000);
    const before = removed.mock.calls.length;
    await pass(20_000);
    expect(added).toHaveBeenCalled();
    expect(removed.mock.calls.length - before).toBeGreaterThanOrEqual(9);
  });

  it('does not take the code of a problem for more than a code', async () => {
    const room = client.room('chat:a');
    http.refusal = { status: 503, code: 'constructor', retryable: true };
    room.attach();
    await pass(5_000);
    expect(client.status.get().state).toBe('reconnecting');
    http.refusal = undefined;
    await pass(20_000);
    expect(client.status.get().state).toBe('connected');
  });
});
