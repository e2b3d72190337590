import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Client, TransportName } from '../src/index.js';
import { createTestServer, type TestServer } from '../src/testing/index.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

type Between = (path: string, ask: () => Promise<Response>) => Promise<Response>;

describe('plain HTTP with something odd in between', () => {
  let server: TestServer;
  let client: Client;
  /** What stands between the client and the server. */
  let between: Between;

  function start(...transports: TransportName[]): Client {
    client = server.client({
      transports,
      fetch: (input, init) => {
        const { pathname, search } = new URL(String(input));
        return between(pathname + search, () => server.fetch(input, init));
      },
    });
    return client;
  }

  const append = (text: string) => void server.append('chat:a', { data: { text } });

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
    server = createTestServer();
    server.network.delay(5);
    between = (_, ask) => ask();
    start('sse', 'poll');
  });
  afterEach(async () => {
    await client.close();
    await server.close();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('finds out that a stream is dead though requests beside it are answered', async () => {
    let dead = false;
    between = async (path, ask) => {
      const answer = await ask();
      if (!path.startsWith('/v1/sse') || dead) return answer;
      // From the moment on that it is dead, neither its end nor another byte ever comes.
      const through = new TransformStream<Uint8Array, Uint8Array>({
        transform: (bytes, out) => void (dead || out.enqueue(bytes)),
      });
      return new Response(answer.body?.pipeThrough(through), answer);
    };
    const room = client.room('chat:a');
    room.attach();
    await pass(1_000);
    expect(room.status.get().state).toBe('live');
    dead = true;
    append('unseen');
    for (let i = 0; i < 8; i++) {
      room.messages.send({ text: `mine ${i}` }); // answered, each of them: a sign of life of the server, not of the stream
      await pass(5_000);
    }
    expect(room.messages.list.get().map(message => message.data.text)).toContain('unseen');
  });

  it('does not take the page of a captive portal for a greeting', async () => {
    between = async () => new Response('<html>Please sign in</html>', { status: 200 });
    void client.connect();
    await pass(30_000);
    expect(client.status.get().state).toBe('reconnecting');
    between = (_, ask) => ask();
    await pass(20_000);
    expect(client.status.get().state).toBe('connected');
  });

  it('polls where it follows more rooms than a stream may have', async () => {
    const problem = { code: 'limit_exceeded', title: 'Too many rooms.', retryable: false, limit: 32 };
    between = async (path, ask) =>
      path.startsWith('/v1/sse') ? Response.json(problem, { status: 400 }) : ask();
    const room = client.room('chat:a');
    room.attach();
    await pass(10_000);
    expect(client.status.get().transport).toBe('poll');
    expect(room.status.get().state).toBe('live');
  });

  it('asks no faster, and keeps its position, where polls are answered with what is not a page', async () => {
    const room = start('poll').room('chat:a');
    room.attach();
    await pass(1_000);
    let asked = 0;
    between = async (path, ask) => {
      if (!path.includes('wait=')) return ask();
      if (++asked > 1_000) await new Promise(() => {}); // a storm would never let the test end
      return Response.json({});
    };
    append('a'); // ends the poll under way
    await pass(10_000);
    expect(asked).toBeLessThan(12);
    between = (_, ask) => ask();
    append('b');
    await pass(5_000);
    expect(room.messages.list.get().map(message => message.seq)).toEqual([1, 2]);
  });

  it('leaves no listener behind for each pause between polls', async () => {
    const added = vi.spyOn(AbortSignal.prototype, 'addEventListener');
    const removed = vi.spyOn(AbortSignal.prototype, 'removeEventListener');
    start('poll');
    for (const name of ['a', 'b', 'c', 'd']) client.room(`chat:${name}`).attach();
    await pass(5_000);
    const before = removed.mock.calls.length;
    await pass(20_000);
    expect(added).toHaveBeenCalled();
    expect(removed.mock.calls.length - before).toBeGreaterThanOrEqual(9);
  });

  it('does not take the code of a problem for more than a code', async () => {
    const problem = { code: 'constructor', title: 'No.', retryable: true };
    between = async () => Response.json(problem, { status: 503 });
    client.room('chat:a').attach();
    await pass(5_000);
    expect(client.status.get().state).toBe('reconnecting');
    between = (_, ask) => ask();
    await pass(20_000);
    expect(client.status.get().state).toBe('connected');
  });

  it.each([403, 413])(
    'a send that something on the way refuses (%d) fails, and holds up nothing',
    async status => {
      const { messages } = client.room('chat:a');
      const page = () => new Response('<html>Blocked by policy</html>', { status });
      between = async (path, ask) =>
        path.endsWith('/events') && messages.list.get().length === 1 ? page() : ask();
      void client.connect();
      await pass(1_000);
      const first = messages.send({ text: 'one' });
      await pass(1_000);
      expect(messages.list.get()).toMatchObject([{ delivery: 'failed', error: { code: 'network' } }]);
      await expect(first).rejects.toMatchObject({ code: 'network' });
      messages.send({ text: 'two' });
      await pass(1_000);
      expect(server.log('chat:a').map(event => event.data)).toEqual([{ text: 'two' }]);
      messages.retry(first.tag);
      await pass(1_000);
      expect(server.log('chat:a')).toHaveLength(2);
    },
  );
});
