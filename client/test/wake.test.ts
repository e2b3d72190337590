// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ClientOptions, createClient } from '../src/index.js';
import { ack, FakeNetwork, refusal } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
/** When a probe without an answer is given up: after 2 s, and the turn in which is read what has come. */
const UNANSWERED_MS = 2_001;

let visibility: DocumentVisibilityState;
let online: boolean;

function see(state: DocumentVisibilityState): void {
  visibility = state;
  document.dispatchEvent(new Event('visibilitychange'));
}

function setOnline(is: boolean): void {
  online = is;
  window.dispatchEvent(new Event(is ? 'online' : 'offline'));
}

async function connected(options: Partial<ClientOptions> = {}) {
  const network = new FakeNetwork();
  const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket, ...options });
  void client.connect();
  await pass(0);
  return { network, client, socket: network.last.welcome(), state: () => client.status.get().state };
}

describe('a device that sleeps, hides and loses its network', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    visibility = 'visible';
    online = true;
    vi.spyOn(document, 'visibilityState', 'get').mockImplementation(() => visibility);
    vi.spyOn(navigator, 'onLine', 'get').mockImplementation(() => online);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  const waking: [string, () => void][] = [
    ['online', () => setOnline(true)],
    ['visible', () => see('visible')],
    ['resume', () => void document.dispatchEvent(new Event('resume'))],
    ['pageshow', () => void window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))],
  ];

  it.each(waking)('on %s probes a socket that says OPEN, and dials again 2 s later', async (_, wake) => {
    const { network, client, socket } = await connected();
    wake();
    socket.take('ping');
    await pass(UNANSWERED_MS);
    expect(client.status.get().state).toBe('reconnecting');
    await pass(250);
    expect(network.sockets).toHaveLength(2);
    await client.close();
  });

  it.each(waking)('on %s dials at once where it waits', async (_, wake) => {
    const { network, client, socket } = await connected();
    for (let i = 0; i < 8; i++) {
      network.last.end();
      await pass(20_000);
    }
    network.last.end();
    const before = network.sockets.length;
    expect(socket).toBe(network.sockets[0]);
    wake();
    await pass(0);
    expect(network.sockets).toHaveLength(before + 1);
    await client.close();
  });

  it('calls it offline while the device says so, and keeps a socket that still answers', async () => {
    const { client, socket, state } = await connected();
    setOnline(false);
    socket.take('ping');
    socket.say({ op: 'pong' }); // loopback needs no network
    await pass(3_000);
    expect(state()).toBe('connected');
    setOnline(false);
    await pass(UNANSWERED_MS);
    expect(state()).toBe('offline');
    setOnline(true);
    expect(state()).toBe('reconnecting');
    await client.close();
  });

  it('a hidden tab does not dial unless it has something to send', async () => {
    const { network, client, socket } = await connected();
    see('hidden');
    socket.end();
    await pass(600_000);
    expect(network.sockets).toHaveLength(1);
    void client.room('chat:a').messages.send({ text: 'x' });
    await pass(0);
    expect(network.sockets).toHaveLength(2);
    network.last.end();
    await pass(1_000);
    expect(network.sockets).toHaveLength(3);
    await client.close();
  });

  it('a hidden tab keeps its socket as long as something is unsent', async () => {
    const { network, client, socket } = await connected();
    const beat = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 5_000) {
        await pass(5_000);
        network.last.say({ op: 'ping' });
      }
    };
    void client.room('chat:a').messages.send({ text: 'x' });
    const send = socket.take('send');
    const refuse = () => network.last.say(refusal(send, 'rate_limited', true, { retry_after_ms: 3_600_000 }));
    refuse();
    see('hidden');
    await beat(600_000);
    expect(socket.closedByClient).toBeUndefined();
    socket.say(ack(send, 1));
    await beat(300_000);
    expect(socket.closedByClient).toBe(1000);
    await client.close();
  });

  it('a hidden tab keeps its socket for 5 min, and dials when it is seen', async () => {
    const { network, client, socket, state } = await connected();
    const beat = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 5_000) {
        await pass(5_000);
        network.last.say({ op: 'ping' });
      }
    };
    see('hidden');
    await beat(295_000);
    expect(state()).toBe('connected');
    await beat(5_000);
    expect(socket.closedByClient).toBe(1000);
    await pass(600_000);
    expect(network.sockets).toHaveLength(1);
    see('visible');
    await pass(0);
    expect(network.sockets).toHaveLength(2);
    network.last.welcome();
    expect(state()).toBe('connected');
    await client.close();
    see('visible'); // nobody listens any more
    await pass(0);
    expect(network.sockets).toHaveLength(2);
  });

  it('a hidden tab that wakes, or dialled to send, pauses 5 min later all the same', async () => {
    const { network, client } = await connected();
    const beat = async () => {
      for (let passed = 0; passed < 300_000; passed += 5_000) {
        await pass(5_000);
        network.last.say({ op: 'ping' });
      }
    };
    see('hidden');
    await pass(5_000);
    setOnline(true);
    network.last.say({ op: 'pong' });
    await beat();
    expect(network.last.closedByClient).toBe(1000);
    const sent = client.room('chat:a').messages.send({ text: 'x' });
    await pass(0);
    network.last.welcome();
    network.last.say(ack(network.last.take('send'), 1));
    await sent;
    await beat();
    expect(network.last.closedByClient).toBe(1000);
    expect(network.sockets).toHaveLength(2);
    await client.close();
  });

  it('a tab that is seen again and finds nobody is lost 5 s later', async () => {
    const { client, socket } = await connected({ pauseWhenHiddenMs: 1_000 });
    const heard: string[] = [];
    client.on('lost-connection', event => heard.push(event));
    see('hidden');
    await pass(1_000);
    expect(socket.closedByClient).toBe(1000);
    await pass(60_000);
    expect(heard).toEqual([]);
    see('visible'); // a black hole
    await pass(4_900);
    expect(heard).toEqual([]);
    await pass(200);
    expect(heard).toEqual(['lost']);
    await client.close();
  });
});
