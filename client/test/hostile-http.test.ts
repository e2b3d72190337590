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
    await Promise.all([import('../src/transport/http/stream.js'), import('../src/transport/http/poll.js')]);
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
});
