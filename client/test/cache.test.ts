import { IDBFactory, IDBKeyRange } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, type ClientOptions, type ClientStorage, createClient } from '../src/index.js';
import { indexedDBStorage } from '../src/indexeddb/index.js';
import { FakeLocks } from './fake/locks.js';
import { FakeServer } from './fake/server.js';
import { FakeNetwork, joined, refusal, tagOf } from './fake/socket.js';

/** fake-indexeddb works in macrotasks that are not faked: let it come to rest. */
async function rest(): Promise<void> {
  for (let i = 0; i < 60; i++) await new Promise(resolve => setImmediate(resolve));
}

async function pass(ms: number): Promise<void> {
  await rest();
  await vi.advanceTimersByTimeAsync(ms);
  await rest();
}

const room = (client: Client) => client.room('chat:a');
const seqs = (client: Client) =>
  room(client)
    .messages.list.get()
    .map(message => message.seq);
const upTo = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

// What keeps is loaded when it is first needed, in time that is not faked.
await import('../src/client/kept.js');

describe('a window in IndexedDB', () => {
  let network: FakeNetwork;
  let server: FakeServer;
  const clients: Client[] = [];

  beforeEach(() => {
    vi.stubGlobal('indexedDB', new IDBFactory());
    vi.stubGlobal('IDBKeyRange', IDBKeyRange);
    vi.stubGlobal('navigator', { locks: new FakeLocks() });
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
    });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    network = new FakeNetwork();
    server = new FakeServer(network);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
    await rest();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  const append = (count: number) => {
    for (let i = 0; i < count; i++) server.append('u2', tagOf(server.head + 1), { text: 'x' });
  };

  function open(options: Partial<ClientOptions> = {}): Client {
    const made = createClient({
      url: 'http://h:1',
      token: server.test.token('u1'),
      user: 'u1',
      transports: ['websocket'],
      WebSocket: network.WebSocket,
      storage: indexedDBStorage(),
      ...options,
    });
    clients.push(made);
    room(made).attach();
    return made;
  }

  /** A page that saw what there is, and was closed. */
  async function seen(options: Partial<ClientOptions> = {}): Promise<void> {
    const client = open(options);
    await pass(1_000);
    await client.close();
  }

  it('shows the room at once after a reload, before any network, and catches up from there', async () => {
    append(30);
    await seen();
    const { position } = server;
    append(5);
    network.onDial = () => {};
    const after = open();
    const events: [number, string][] = [];
    room(after).on('event', ({ seq, via }) => events.push([seq, via]));
    await rest();
    expect(seqs(after)).toEqual(upTo(1, 30));
    expect(room(after).status.get()).toMatchObject({ loaded: true, seq: 30, state: 'attaching' });
    const socket = network.last.welcome();
    const join = socket.take('join');
    expect(join.position).toBe(position);
    socket.say(joined(join.id, 30, 35, { epoch: 'e1' }));
    expect(seqs(after)).toEqual(upTo(1, 35));
    expect(room(after).status.get().gaps).toBe(0);
    expect(events.map(([seq]) => seq)).toEqual(upTo(1, 35));
  });

  it('waits for a storage that is slow as long as there is no connection, and not much longer', async () => {
    append(30);
    await seen();
    const slow = (ms: number): ClientStorage => {
      const storage = indexedDBStorage();
      const windows: ClientStorage['windows'] = (...of) => {
        const box = storage.windows(...of);
        const read = async (id: string) => {
          await new Promise(resolve => setTimeout(resolve, ms));
          return box.read(id);
        };
        return { read, put: w => box.put(w), delete: id => box.delete(id), close: () => box.close() };
      };
      return { sends: storage.sends, marks: storage.marks, windows };
    };
    network.onDial = () => {}; // the server is away
    const away = open({ storage: slow(4_500) });
    await pass(4_000);
    expect(seqs(away)).toEqual([]);
    await pass(1_000);
    expect(seqs(away)).toEqual(upTo(1, 30));
    const back = open({ storage: slow(60_000) });
    await pass(3_500);
    const socket = network.last.welcome();
    await pass(1_000);
    const join = socket.take('join');
    expect(join.position).toBe(undefined);
    socket.say(joined(join.id, 30, 30, { epoch: 'e1' }));
    expect(room(back).status.get().state).toBe('live');
  });

  it('keeps position and events of one moment, the newest 200 of them, and older ones can be loaded', async () => {
    append(450);
    await seen({ limit: 450 });
    network.onDial = () => {};
    const after = open();
    await rest();
    expect(seqs(after)).toEqual(upTo(251, 450));
    expect(room(after).position).toBe(server.position);
    expect(room(after).messages.older.get().hasMore).toBe(true);
  });

  it('close waits for the storage', async () => {
    let written = () => {};
    const windows = { read: async () => undefined, put: () => {}, delete: () => {} };
    const sends = { put: () => {}, delete: () => {}, adopt: async () => {}, close: async () => {} };
    const storage: ClientStorage = {
      sends: () => sends,
      marks: () => ({ ...sends, all: async () => new Map() }),
      windows: () => ({
        ...windows,
        close: () =>
          new Promise(resolve => {
            written = resolve;
          }),
      }),
    };
    const client = open({ storage });
    await pass(100);
    let isClosed = false;
    const closed = client.close().then(() => {
      isClosed = true;
    });
    await rest();
    expect(isClosed).toBe(false);
    written();
    await closed;
  });

  it('close writes what was shown', async () => {
    append(3);
    const client = open();
    await pass(100);
    expect(seqs(client)).toEqual([1, 2, 3]);
    await client.close();
    const box = indexedDBStorage().windows({ server: 'http://h:1', user: 'u1' }, () => {});
    expect(await box.read('chat:a')).toMatchObject({ seq: 3, position: server.position });
  });

  it('knows the beginning of the room while offline', async () => {
    const box = indexedDBStorage().windows({ server: 'http://h:1', user: 'u1' }, () => {});
    box.put({ room: 'chat:a', epoch: 'e', floor: 4, prev: 3, seq: 3, position: 'e:3', events: [] });
    await rest();
    network.onDial = () => {};
    const client = open();
    await rest();
    expect(room(client).status.get().seq).toBe(3);
    expect(room(client).messages.older.get().hasMore).toBe(false);
  });

  it('what is missing beyond `replay` is a reset with the latest page (JOIN-6, RESET-3)', async () => {
    append(3);
    await seen();
    network.onDial = () => {};
    const after = open({ replay: 10 });
    const reasons: string[] = [];
    room(after).on('reset', ({ reason }) => reasons.push(reason));
    await rest();
    const socket = network.last.welcome();
    const join = socket.take('join');
    expect(join).toMatchObject({ position: server.position, replay: 10 });
    socket.say(joined(join.id, 900, 1_000, { epoch: 'e1', reset: { reason: 'too_far' } }));
    expect(reasons).toEqual(['too_far']);
    expect(seqs(after)).toEqual(upTo(901, 1_000));
    await pass(1_000);
    await after.close();
    await rest();
    const later = open();
    await rest();
    expect(seqs(later)).toEqual(upTo(901, 1_000));
  });

  it('a numbering that is no more is replaced, never mixed (RESET-3)', async () => {
    append(10);
    await seen();
    server.restore(4);
    append(1);
    const after = open();
    await pass(1_000);
    expect(seqs(after)).toEqual(upTo(1, 7));
    expect(room(after).position).toBe(server.position);
    expect(server.position).toMatch(/^e2:7:/);
  });

  it('is of one user of one server: another sees nothing of it, not even for a moment', async () => {
    append(3);
    await seen();
    network.onDial = () => {};
    const other = open({ user: 'u2' });
    const elsewhere = open({ url: 'http://h:2' });
    await rest();
    expect([seqs(other), seqs(elsewhere)]).toEqual([[], []]);
    const mistaken = open();
    await rest();
    expect(seqs(mistaken)).toEqual([1, 2, 3]);
    const socket = network.last.welcome({ user: 'u3' });
    expect(seqs(mistaken)).toEqual([]);
    expect(socket.take('join').position).toBeUndefined();
  });

  it('is forgotten when the room is taken away', async () => {
    append(3);
    await seen();
    network.onDial = () => {};
    const denied = open();
    await rest();
    const socket = network.last.welcome();
    socket.say(refusal(socket.take('join'), 'unknown_room', false));
    await rest();
    await denied.close();
    const after = open();
    await rest();
    expect(seqs(after)).toEqual([]);
  });

  it('joins without it where the storage does not answer within a second', async () => {
    vi.stubGlobal('indexedDB', { open: () => ({}) });
    append(3);
    const client = open();
    await pass(900);
    expect(seqs(client)).toEqual([]);
    await pass(200);
    expect(seqs(client)).toEqual([1, 2, 3]);
    const closed = client.close(); // nor does that wait for it for ever
    await pass(1_000);
    await closed;
  });

  it('keeps the 50 rooms that were written last', async () => {
    const storage = indexedDBStorage();
    const failed = vi.fn();
    const box = storage.windows({ server: 's', user: 'u' }, failed);
    const other = storage.windows({ server: 's', user: 'v' }, failed);
    const window = { epoch: 'e', floor: 1, prev: 0, seq: 0, position: 'e:0', events: [] };
    other.put({ room: 'chat:0', ...window });
    for (let i = 0; i < 53; i++) {
      vi.setSystemTime(Date.now() + 1);
      box.put({ room: `chat:${i}`, ...window });
    }
    while (!(await box.read('chat:52'))) await rest(); // writes are made in order
    expect(failed).not.toHaveBeenCalled();
    expect(await box.read('chat:2')).toBeUndefined();
    expect(await box.read('chat:3')).toMatchObject({ room: 'chat:3', position: 'e:0' });
    expect(await other.read('chat:0')).toBeDefined();
  });

  it('the window in memory is bounded, and what loadOlder brought stays', async () => {
    append(10);
    const client = open({ window: 20 });
    await pass(1_000);
    append(60);
    await pass(1_000);
    const held = seqs(client);
    expect(held.length).toBeLessThanOrEqual(22);
    expect(held).toEqual(upTo(held[0] as number, 70));
    expect(room(client).messages.older.get().hasMore).toBe(true);
    const from = held[0] as number;
    const events = server.log.slice(from - 31, from - 1);
    const page = { epoch: 'e1', floor: 1, head: 70, prev: from - 31, seq: from - 1, position: 'p', events };
    vi.stubGlobal('fetch', async () => Response.json(page));
    await room(client).messages.loadOlder(30);
    append(15);
    await pass(100);
    expect(seqs(client)).toEqual(upTo(from - 30, 85));
  });
});
