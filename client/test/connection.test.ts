import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ClientOptions, createClient, type LostConnection } from '../src/index.js';
import { FakeNetwork, joined, refusal } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

function setUp(options: Partial<ClientOptions> = {}) {
  const network = new FakeNetwork();
  const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket, ...options });
  return { network, client, state: () => client.status.get().state };
}

async function connected(options: Partial<ClientOptions> = {}) {
  const made = setUp(options);
  void made.client.connect();
  await pass(0);
  made.network.last.welcome();
  return made;
}

describe('connection', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('does nothing until it is asked to, then says hello and is welcomed (AUTH-7, VER-1)', async () => {
    const { network, client, state } = setUp({ url: 'https://h/base/?x#y' });
    await pass(60_000);
    expect(network.sockets).toHaveLength(0);
    expect(state()).toBe('idle');
    const done = client.connect();
    await pass(0);
    expect(state()).toBe('connecting');
    expect(network.last.url).toBe('wss://h/base/v1/ws');
    expect(network.last.protocols).toBe('roomlog.v1');
    expect(network.last.accept().take('hello')).toMatchObject({ token: 't' });
    network.last.say({ op: 'welcome', user: 'u1', ping_ms: 10_000, limits: {} });
    await expect(done).resolves.toBeUndefined();
    expect(state()).toBe('connected');
    expect(client.user).toBe('u1');
  });

  it('waits longer each time, by full jitter, and counts from 0 after 10 s (CLOSE-8)', async () => {
    const { network, client, state } = await connected();
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      network.last.end();
      const { retryAt } = client.status.get();
      waits.push((retryAt as number) - Date.now());
      expect(state()).toBe('reconnecting');
      await pass(waits.at(-1) as number);
    }
    expect(waits).toEqual([125, 250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    network.last.welcome();
    await pass(9_999);
    expect(client.status.get().attempt).toBeGreaterThan(0);
    await pass(1);
    expect(client.status.get().attempt).toBe(0);
    network.last.end();
    expect((client.status.get().retryAt as number) - Date.now()).toBe(125);
  });

  it.each([
    [1012, 'going_away 3000', 3000],
    [1013, '', 125],
    [1006, '', 125],
    [1000, '', 125],
    [4000, 'slow_consumer', 125],
    [4002, 'overloaded 700', 700],
    [4499, '', 125],
  ])('comes back after %i "%s", not sooner than told (CLOSE-2, CLOSE-3)', async (code, reason, wait) => {
    const { network, client, state } = await connected();
    network.last.end(code, reason);
    expect(state()).toBe('reconnecting');
    expect((client.status.get().retryAt as number) - Date.now()).toBe(wait);
    await pass(wait);
    expect(network.sockets).toHaveLength(2);
  });

  it.each([
    [4501, 'unauthenticated'],
    [4503, 'revoked'],
    [4510, 'unsupported_version'],
    [4999, ''],
  ])('stops for good after %i (CLOSE-2)', async (code, reason) => {
    const { network, client, state } = await connected();
    const errors: string[] = [];
    client.on('error', error => errors.push(error.code));
    network.last.end(code, reason);
    await pass(600_000);
    expect(state()).toBe('failed');
    expect(network.sockets).toHaveLength(1);
    expect(errors).toEqual([reason || 'network']);
    client.retryNow(); // the application may know better
    await pass(0);
    expect(network.sockets).toHaveLength(2);
  });

  it('fetches one fresh token after 4501, and stops when that is refused too (CLOSE-9)', async () => {
    const reasons: string[] = [];
    const token = async ({ reason }: { reason: string }) => `t${reasons.push(reason)}`;
    const { network, client, state } = setUp({ token });
    void client.connect();
    await pass(0);
    network.last.welcome();
    await pass(11_000);
    network.last.say({ op: 'error', code: 'token_expired', title: 'Expired.', retryable: false });
    network.last.end(4501, 'token_expired');
    await pass(0);
    expect(network.last.accept().take('hello').token).toBe('t2');
    network.last.end(4501, 'unauthenticated');
    await pass(600_000);
    expect(reasons).toEqual(['connect', 'expired']);
    expect(state()).toBe('failed');
    expect(client.status.get().reason?.code).toBe('unauthenticated');
  });

  it('asks for a token before every connection', async () => {
    const reasons: string[] = [];
    const token = async ({ reason }: { reason: string }) => `t${reasons.push(reason)}`;
    const { network, client } = setUp({ token });
    void client.connect();
    await pass(0);
    network.last.welcome().end(1006);
    await pass(125);
    expect(network.last.accept().take('hello').token).toBe('t2');
    network.last.end(1012, 'going_away');
    await pass(1_000);
    expect(network.last.accept().take('hello').token).toBe('t3');
    expect(reasons).toEqual(['connect', 'connect', 'connect']);
    await client.close();
  });

  it('waits as long as the error before a close says (CLOSE-3)', async () => {
    const { network, client } = await connected();
    network.last.say({
      op: 'error',
      code: 'overloaded',
      title: 'Too much.',
      retryable: true,
      retry_after_ms: 5_000,
    });
    network.last.end(4002, 'overloaded');
    expect(client.status.get().reason?.code).toBe('overloaded');
    expect((client.status.get().retryAt as number) - Date.now()).toBe(5_000);
  });

  it('tries the token callback again unless it says that there is no use', async () => {
    let answer: () => Promise<string> = () => Promise.reject(new Error('no network'));
    const { network, client, state } = setUp({ token: () => answer() });
    const failed = client.connect();
    await pass(0);
    expect(client.status.get()).toMatchObject({ state: 'reconnecting', reason: { code: 'no_token' } });
    answer = () => Promise.reject(Object.assign(new Error('signed out'), { retryable: false }));
    await pass(125);
    await expect(failed).rejects.toMatchObject({ code: 'no_token' });
    expect(state()).toBe('failed');
    expect(network.sockets).toHaveLength(0);
  });

  it('gives up a dial or a token that hangs for 10 s, and aborts the callback', async () => {
    const signals: AbortSignal[] = [];
    const token = ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return signals.length === 1 ? new Promise<string>(() => {}) : Promise.resolve('t');
    };
    const { network, client } = setUp({ token });
    void client.connect();
    await pass(10_000 + 125);
    expect(signals[0]?.aborted).toBe(true);
    expect(network.sockets).toHaveLength(1);
    await pass(10_000);
    expect(network.last.closedByClient).toBeDefined();
    await pass(250);
    expect(network.sockets).toHaveLength(2);
  });

  it('takes a silence of ping_ms + 5 s for a reason to probe, and 2 s more for the end (BEAT-5)', async () => {
    const { network, client, state } = await connected();
    const first = network.last;
    await pass(9_000);
    first.say({ op: 'ping' });
    first.take('pong'); // BEAT-2
    await pass(14_999);
    expect(first.sent).toEqual([]);
    await pass(1);
    first.take('ping');
    await pass(40);
    first.say({ op: 'pong' });
    expect(client.status.get().rttMs).toBe(40);
    await pass(15_000);
    first.take('ping');
    await pass(1_999);
    expect(state()).toBe('connected');
    await pass(2); // the turn in which is read what has come, too
    expect(state()).toBe('reconnecting');
    expect(client.status.get().reason?.code).toBe('network');
    first.say({ op: 'pong' }); // too late: nobody listens
    await pass(125);
    expect(network.sockets).toHaveLength(2);
  });

  it('reads what came while the page itself stood still before it takes that for a silence (BEAT-5)', async () => {
    const { network, client, state } = await connected();
    client.retryNow();
    network.last.take('ping');
    // Who stands still finds the timer due and the answer there, and the timer comes first.
    setTimeout(() => network.last.say({ op: 'pong' }), 2_000);
    await pass(5_000);
    expect(state()).toBe('connected');
    expect(client.status.get().rttMs).toBe(2_000);
    expect(network.sockets).toHaveLength(1);
  });

  it('probes after 3 s without an answer to a join or send, again and again while it lasts (BEAT-5)', async () => {
    const { network, client, state } = await connected();
    const socket = network.last;
    client.room('chat:a').attach();
    const join = socket.take('join');
    await pass(3_000);
    socket.take('ping');
    socket.say({ op: 'pong' });
    await pass(3_000);
    socket.take('ping');
    socket.say({ op: 'pong' });
    socket.say(joined(join.id, 0, 0));
    await pass(14_000);
    expect(socket.sent).toEqual([]);
    void client.room('chat:a').messages.send({ text: 'x' });
    await pass(5_000);
    expect(state()).toBe('reconnecting');
  });

  it('connects anew for a request that stays unanswered though pings are answered', async () => {
    const { network, client, state } = await connected();
    const socket = network.last;
    void client.room('chat:a').messages.send({ text: 'x' });
    let held = 0;
    while (state() === 'connected' && held < 60_000) {
      await pass(500);
      held += 500;
      socket.say({ op: 'pong' });
    }
    expect(held).toBeGreaterThanOrEqual(20_000);
    expect(held).toBeLessThan(25_000);
  });

  it('is not misled by a device clock that is set back', async () => {
    const { network, state } = await connected();
    vi.setSystemTime(Date.now() - 3_600_000);
    await pass(17_001);
    expect(network.last.take('ping')).toBeDefined();
    expect(state()).toBe('reconnecting');
  });

  it('says lost after 5 s, restored when it is back, failed when it will not be', async () => {
    const { network, client } = await connected();
    const said: LostConnection[] = [];
    client.on('lost-connection', e => said.push(e));
    network.last.end();
    await pass(125);
    network.last.welcome();
    await pass(12_000);
    expect(said).toEqual([]);
    network.last.end();
    await pass(4_999);
    expect(said).toEqual([]);
    await pass(1);
    expect(said).toEqual(['lost']);
    await pass(60_000);
    network.last.welcome();
    expect(said).toEqual(['lost', 'restored']);
    network.last.end(4503, 'revoked');
    expect(said).toEqual(['lost', 'restored', 'failed']);
  });

  it('retryNow does not wait; while connected it checks the other side', async () => {
    const { network, client } = await connected();
    client.retryNow();
    network.last.take('ping');
    network.last.end();
    client.retryNow();
    await pass(0);
    expect(network.sockets).toHaveLength(2);
    await pass(5_000); // that dial hangs
    client.retryNow();
    await pass(0);
    expect(network.sockets).toHaveLength(3);
    client.retryNow(); // this one is young
    await pass(0);
    expect(network.sockets).toHaveLength(3);
  });

  it('close is final until connect, does nothing twice, and leaves no timer', async () => {
    const { network, client, state } = await connected();
    const failed = client.room('chat:a').messages.send({ text: 'x' });
    await client.close();
    await client.close();
    expect(state()).toBe('closed');
    expect(network.last.closedByClient).toBe(1000);
    await expect(failed).rejects.toMatchObject({ code: 'closed' });
    expect(vi.getTimerCount()).toBe(0);
    client.room('chat:a').attach();
    client.retryNow();
    await pass(60_000);
    expect(network.sockets).toHaveLength(1);
    void client.connect();
    await pass(0);
    expect(network.sockets).toHaveLength(2);
    expect(network.last.welcome().take('join')).toMatchObject({ room: 'chat:a' });
    await client.close();
  });

  it('drops a connection that does not speak the protocol, and comes back', async () => {
    const { network, state } = await connected();
    network.last.say('{"op":');
    expect(state()).toBe('reconnecting');
    await pass(125);
    network.last.welcome().say({ op: 'page', room: 'chat:a', prev: 3, seq: 1 });
    expect(state()).toBe('reconnecting');
  });

  it('does not take the refusal of a request for the reason of a later end', async () => {
    const { network, client } = await connected();
    void client.room('chat:a').messages.send({ text: 'x' });
    network.last.say(refusal(network.last.take('send'), 'forbidden', false));
    network.last.end(1006);
    expect(client.status.get().reason?.code).toBe('network');
  });

  it('fails with a sentence where there is no WebSocket', async () => {
    vi.stubGlobal('WebSocket', undefined);
    const client = createClient({ url: 'http://h', token: 't' });
    await expect(client.connect()).rejects.toMatchObject({ code: 'no_websocket' });
    vi.unstubAllGlobals();
  });
});
