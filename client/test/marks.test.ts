import { IDBFactory, IDBKeyRange } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, type ClientOptions, type ClientStorage, createClient } from '../src/index.js';
import { indexedDBStorage } from '../src/indexeddb/index.js';
import { FakeLocks } from './fake/locks.js';
import { memoryStorage } from './fake/memory.js';
import { FakeServer } from './fake/server.js';
import { FakeNetwork, tagOf } from './fake/socket.js';

/** fake-indexeddb works in macrotasks that are not faked: let it come to rest. */
async function rest(): Promise<void> {
  for (let i = 0; i < 60; i++) await new Promise(resolve => setImmediate(resolve));
}

async function pass(ms: number): Promise<void> {
  await rest();
  for (let left = ms; left > 0; left -= 250) {
    await vi.advanceTimersByTimeAsync(Math.min(250, left));
    await rest();
  }
}

// What is loaded later is loaded in time that is not faked.
await import('../src/client/kept.js');
await import('../src/client/sides/part.js');

describe.each([
  ['IndexedDB', () => () => indexedDBStorage()],
  ['memory', memoryStorage],
] as const)('what was read without a connection, in %s (RCPT-1)', (_, make: () => () => ClientStorage) => {
  let storage: () => ClientStorage;
  let network: FakeNetwork;
  let server: FakeServer;
  let sockets: FakeNetwork['onDial'];
  const clients: Client[] = [];

  beforeEach(() => {
    storage = make();
    vi.stubGlobal('indexedDB', new IDBFactory());
    vi.stubGlobal('IDBKeyRange', IDBKeyRange);
    vi.stubGlobal('navigator', { locks: new FakeLocks() });
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
    });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    network = new FakeNetwork();
    server = new FakeServer(network);
    sockets = network.onDial;
    for (let i = 1; i <= 5; i++) server.append('u2', tagOf(i), { text: 'x' });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
    await rest();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  const offline = () => {
    network.onDial = socket => queueMicrotask(() => socket.end(1006));
    server.test.network.cut();
  };
  const online = () => {
    network.onDial = sockets;
    server.heal();
  };

  function open(options: Partial<ClientOptions> = {}, rooms = ['chat:a']): Client {
    const made = createClient({
      url: 'http://h:1',
      token: server.test.token('u1'),
      user: 'u1',
      transports: ['websocket'],
      WebSocket: network.WebSocket,
      fetch: server.test.fetch,
      storage: storage(),
      ...options,
    });
    clients.push(made);
    void made.connect();
    for (const id of rooms) {
      made.room(id).receipts.lastRead.subscribe(() => {});
      made.room(id).attach();
    }
    return made;
  }

  /** A page that reads up to a seq while there is no connection, and is closed. */
  async function readOffline(...seqs: number[]): Promise<void> {
    const page = open();
    await pass(1_000);
    offline();
    await pass(250);
    for (const seq of seqs) page.room('chat:a').receipts.markRead(seq);
    await pass(250);
    await page.close();
    clients.length = 0;
  }

  /** How far a user has read, as the server has it. */
  async function readOf(user: string): Promise<unknown> {
    const request = server.test.fetch(`${server.test.url}/v1/rooms/chat:a/receipt`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${server.test.token(user)}` },
      body: '{}',
    });
    await pass(250);
    return ((await (await request).json()) as { read: number }).read;
  }

  /** What is kept, by room. */
  const kept = async (user = 'u1') => {
    const all = storage()
      .marks({ server: 'http://h:1', user }, () => {})
      .all();
    await rest();
    return Object.fromEntries(await all);
  };

  it('is shown by the next page before there is a connection, and sent when there is one', async () => {
    await readOffline(2, 3, 1);
    const next = open();
    await pass(250);
    expect(next.room('chat:a').receipts.lastRead.get()).toBe(3);
    online();
    await pass(30_000);
    expect(next.status.get().state).toBe('connected');
    expect(await readOf('u1')).toBe(3);
    expect(await kept()).toEqual({});
  });

  it('is sent though the application does not open the room', async () => {
    await readOffline(3);
    expect(await kept()).toEqual({ 'chat:a': 3 });
    online();
    open({}, []);
    await pass(1_000);
    expect(await readOf('u1')).toBe(3);
    expect(await kept()).toEqual({});
  });

  it('takes nothing back of what was read elsewhere meanwhile, and is kept no more', async () => {
    await readOffline(3);
    online();
    const elsewhere = open({ storage: memoryStorage()() });
    await pass(500);
    elsewhere.room('chat:a').receipts.markRead(5);
    await pass(1_000);
    const next = open();
    await pass(1_000);
    expect(next.room('chat:a').receipts.lastRead.get()).toBe(5);
    expect(await readOf('u1')).toBe(5);
    expect(await kept()).toEqual({});
  });

  it('is kept until the server has it, also while there is a connection', async () => {
    const page = open();
    await pass(1_000);
    page.room('chat:a').receipts.markRead(2);
    page.room('chat:a').receipts.markRead(4);
    await rest();
    expect(await kept()).toEqual({ 'chat:a': 4 });
    await pass(1_000);
    expect(await readOf('u1')).toBe(4);
    expect(await kept()).toEqual({});
  });

  it('is never sent as another user, and is there when its own is back', async () => {
    await readOffline(3);
    online();
    const other = open({ token: server.test.token('u3'), user: 'u3' });
    await pass(1_000);
    expect(other.room('chat:a').receipts.lastRead.get()).toBe(0);
    expect(await readOf('u3')).toBe(0);
    expect(await kept()).toEqual({ 'chat:a': 3 });
    await other.close();
    open({ user: 'u3' }); // whose token is that of u1
    await pass(1_000);
    expect(await readOf('u1')).toBe(3);
    expect(await readOf('u3')).toBe(0);
  });

  it('stays where the server cannot take it now, and goes where it never will', async () => {
    await readOffline(3);
    const answers = [503, 403].map(status =>
      Response.json({ code: 'x', title: 'x', retryable: status === 503 }, { status }),
    );
    const fetch = (async () => answers.shift()) as unknown as typeof globalThis.fetch;
    online();
    const page = open({ fetch }, []);
    await pass(500);
    expect(await kept()).toEqual({ 'chat:a': 3 });
    network.last.end();
    await pass(1_000);
    expect(page.status.get().state).toBe('connected');
    expect(answers).toEqual([]);
    expect(await kept()).toEqual({});
  });
});

it('a database of the version before keeps what it has, and takes marks', async () => {
  vi.stubGlobal('indexedDB', new IDBFactory());
  vi.stubGlobal('IDBKeyRange', IDBKeyRange);
  const failed = vi.fn();
  const owner = { server: 's', user: 'u' };
  const window = { room: 'chat:a', epoch: 'e', floor: 1, prev: 0, seq: 0, position: 'e:0', events: [] };
  await new Promise<void>(resolve => {
    const opened = indexedDB.open('roomlog', 1);
    opened.onupgradeneeded = () => {
      const { result } = opened;
      const sends = result.createObjectStore('sends', { keyPath: ['server', 'user', 'room', 'tag'] });
      sends.createIndex('owner', ['server', 'user']);
      const windows = result.createObjectStore('windows', { keyPath: ['server', 'user', 'room'] });
      windows.createIndex('age', ['server', 'user', 'at']);
      windows.put({ ...window, ...owner, at: 1 });
    };
    opened.onsuccess = () => {
      opened.result.close();
      resolve();
    };
  });
  const storage = indexedDBStorage();
  const marks = storage.marks(owner, failed);
  marks.put('chat:a', 2);
  marks.put('chat:b', 7);
  marks.put('chat:a', 1);
  marks.delete('chat:b', 6);
  storage.marks({ server: 's', user: 'v' }, failed).put('chat:a', 9);
  expect([...(await marks.all())]).toEqual([
    ['chat:a', 2],
    ['chat:b', 7],
  ]);
  marks.delete('chat:b', 7);
  expect([...(await marks.all())]).toEqual([['chat:a', 2]]);
  expect(await storage.windows(owner, failed).read('chat:a')).toEqual(window);
  expect(failed).not.toHaveBeenCalled();
  vi.unstubAllGlobals();
});
