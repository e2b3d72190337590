import { IDBFactory, IDBKeyRange, IDBObjectStore } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, type ClientOptions, createClient, type StoredSend } from '../src/index.js';
import { indexedDBStorage } from '../src/indexeddb/index.js';
import { FakeLocks } from './fake/locks.js';
import { FakeServer } from './fake/server.js';
import { FakeNetwork, type FakeSocket, joined, refusal, tagOf } from './fake/socket.js';

const DAY = 24 * 3_600_000;

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

const texts = (client: Client) =>
  client
    .room('chat:a')
    .messages.list.get()
    .map(m => `${m.data.text} ${m.delivery}`);

// What keeps is loaded when it is first needed, in time that is not faked.
await import('../src/client/kept.js');

describe('a storage in IndexedDB', () => {
  let locks: FakeLocks;
  let network: FakeNetwork;
  let server: FakeServer;
  let sockets: (socket: FakeSocket) => void;
  const clients: Client[] = [];

  beforeEach(() => {
    locks = new FakeLocks();
    vi.stubGlobal('indexedDB', new IDBFactory());
    vi.stubGlobal('IDBKeyRange', IDBKeyRange);
    vi.stubGlobal('navigator', { locks });
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
    });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    network = new FakeNetwork();
    server = new FakeServer(network);
    sockets = network.onDial;
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
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
  };

  /** A page with a client. Each has a storage of its own over the same database, as a tab has. */
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
    made.room('chat:a').attach();
    return made;
  }

  /** The page is gone without a word: its locks are free, and nothing it does reaches anything. */
  function crash(client: Client): void {
    clients.splice(clients.indexOf(client), 1);
    locks.crash();
    for (const socket of network.sockets) socket.send = () => {};
    server.test.network.cut();
    void client.close(); // stops its timers; what it would write is of no consequence: sends stay as they are kept
  }

  it('shows what was queued at once after a reload while offline, then sends it in order, once', async () => {
    offline();
    const before = open();
    for (const text of ['a', 'b', 'c']) before.room('chat:a').messages.send({ text });
    await pass(100);
    expect(texts(before)).toEqual(['a queued', 'b queued', 'c queued']);
    crash(before);
    const after = open();
    await pass(0);
    expect(texts(after)).toEqual(['a queued', 'b queued', 'c queued']);
    expect(after.status.get().pendingSends).toBe(3);
    after.room('chat:a').messages.send({ text: 'd' });
    online();
    await pass(60_000);
    expect(server.log.map(event => event.data)).toEqual(['a', 'b', 'c', 'd'].map(text => ({ text })));
    expect(texts(after)).toEqual(['a sent', 'b sent', 'c sent', 'd sent']);
    crash(after);
    const later = open();
    await pass(1_000);
    expect(later.status.get().pendingSends).toBe(0);
    expect(server.head).toBe(4);
  });

  it('sends what is kept though the application does not open the room, and takes its options when it does', async () => {
    offline();
    const before = open();
    before.room('chat:a').messages.send({ text: 'a' });
    await pass(100);
    crash(before);
    for (let i = 1; i <= 4; i++) server.append('u2', tagOf(i), { text: `t${i}` });
    online();
    const after = createClient({
      url: 'http://h:1',
      token: server.test.token('u1'),
      WebSocket: network.WebSocket,
      storage: indexedDBStorage(),
    });
    clients.push(after);
    void after.connect();
    await pass(1_000);
    expect(server.head).toBe(5);
    after.room('chat:a', { position: '0' }).attach();
    await pass(100);
    expect(texts(after)).toEqual(['t1 sent', 't2 sent', 't3 sent', 't4 sent', 'a sent']);
  });

  it.each([
    ['before', 'u1'],
    ['after', undefined],
  ])(
    'an answer that was lost with the page makes no second event, found %s its page (TAG-3)',
    async (_, user) => {
      const before = open();
      await pass(1_000);
      before.room('chat:a').messages.send({ text: 'a' });
      await vi.advanceTimersByTimeAsync(6); // stored; the ack is on its way
      expect(server.head).toBe(1);
      await rest();
      crash(before);
      const after = open({ user: user as string });
      await pass(5_000);
      expect(server.head).toBe(1);
      expect(texts(after)).toEqual(['a sent']);
      expect(after.status.get().pendingSends).toBe(0);
    },
  );

  it('keeps what was refused for good with its reason; Retry and Discard hold for it, and nothing is behind it', async () => {
    network.onDial = () => {};
    const before = open();
    await pass(0);
    network.last.welcome().say(joined(network.last.take('join').id, 0, 0));
    for (const text of ['a', 'b', 'c']) before.room('chat:a').messages.send({ text });
    const sent = [network.last.take('send'), network.last.take('send'), network.last.take('send')];
    for (const send of sent.slice(0, 2))
      network.last.say(refusal(send, 'refused', false, { title: 'Be kind.' }));
    await pass(10);
    crash(before);
    online();
    const after = open();
    await pass(2_000);
    expect(texts(after)).toEqual(['c sent', 'a failed', 'b failed']);
    const [, a, b] = after.room('chat:a').messages.list.get();
    expect(a?.error).toMatchObject({ code: 'refused', message: 'Be kind.', retryable: false });
    expect(after.room('chat:a').messages.discard(b?.tag as string)).toBe(true);
    after.room('chat:a').messages.retry(a?.tag as string);
    await pass(1_000);
    expect(texts(after)).toEqual(['c sent', 'a sent']);
    crash(after);
    expect(texts(open())).toEqual([]);
  });

  it('a send by the tag of a kept one that may be stored is that one, not a second row', async () => {
    const before = open();
    await pass(1_000);
    server.test.network.dropAcks();
    before.room('chat:a').messages.send({ text: 'a' }, { tag: tagOf(1) });
    await pass(10);
    offline();
    await pass(10);
    crash(before);
    const after = open();
    await pass(0);
    expect(texts(after)).toEqual(['a queued']);
    const again = after.room('chat:a').messages.send({ text: 'a' }, { tag: tagOf(1) });
    expect(after.room('chat:a').messages.send({ text: 'a' }, { tag: tagOf(1) })).toBe(again);
    expect(texts(after)).toEqual(['a queued']);
    expect(after.status.get().pendingSends).toBe(1);
    online();
    await pass(20_000);
    await expect(again).resolves.toMatchObject({ seq: 1, tag: tagOf(1) });
    expect(texts(after)).toEqual(['a sent']);
    expect(server.head).toBe(1);
  });

  it('belongs to its server: it is neither shown nor sent at another', async () => {
    offline();
    const before = open();
    before.room('chat:a').messages.send({ text: 'for h:1' });
    await pass(100);
    crash(before);
    online();
    const elsewhere = open({ url: 'http://h:2' });
    await pass(60_000);
    expect(texts(elsewhere)).toEqual([]);
    expect(server.head).toBe(0);
    crash(elsewhere);
    const after = open();
    await pass(1_000);
    expect(texts(after)).toEqual(['for h:1 sent']);
  });

  it('does not send by itself what waited for 7 days, and keeps the text', async () => {
    offline();
    const before = open();
    before.room('chat:a').messages.send({ text: 'old' });
    await pass(100);
    crash(before);
    vi.setSystemTime(Date.now() + 7 * DAY - 60_000);
    const after = open();
    after.room('chat:a').messages.send({ text: 'new' });
    await pass(61_000);
    online();
    await pass(20_000);
    expect(texts(after)).toEqual(['new sent', 'old failed']);
    const old = after.room('chat:a').messages.list.get()[1];
    expect(old?.error?.code).toBe('expired');
    after.room('chat:a').messages.retry(old?.tag as string);
    await pass(1_000);
    expect(texts(after)).toEqual(['new sent', 'old sent']);
  });

  it('is never sent as somebody else, and is there when its author is back', async () => {
    offline();
    const before = open();
    before.room('chat:a').messages.send({ text: 'mine' });
    await pass(100);
    expect(texts(before)).toEqual(['mine queued']);
    network.onDial = () => {};
    await pass(20_000);
    const handle = before.room('chat:a').messages.send({ text: 'mine too' });
    network.last.welcome({ user: 'u2' });
    await pass(100);
    await expect(handle).rejects.toMatchObject({ code: 'author_mismatch' });
    expect(before.user).toBe('u2');
    expect(network.last.sent.filter(frame => frame.op === 'send')).toEqual([]);
    expect(texts(before)).toEqual(['mine failed', 'mine too failed']);
    before.room('chat:a').messages.retry(handle.tag);
    expect(network.last.sent.filter(frame => frame.op === 'send')).toEqual([]);
    crash(before);
    const other = open({ user: 'u2' });
    await pass(1_000);
    expect(texts(other)).toEqual([]);
    crash(other);
    online();
    const after = open();
    await pass(2_000);
    expect(texts(after)).toEqual(['mine sent', 'mine too sent']);
  });

  it('in memory too: what one user wrote is not sent when the token is suddenly of another', async () => {
    network.onDial = () => {};
    const client = open({ user: undefined as unknown as string, storage: undefined as never });
    await pass(0);
    network.last.welcome();
    client.room('chat:a').messages.send({ text: 'x' });
    network.last.end();
    await pass(1_000);
    network.last.welcome({ user: 'u2' });
    expect(network.last.sent.filter(frame => frame.op === 'send')).toEqual([]);
    expect(client.room('chat:a').messages.list.get()[0]?.error?.code).toBe('author_mismatch');
  });

  it('a connected tab adopts what a closed one left behind, not what an open one has', async () => {
    offline();
    const gone = open();
    gone.room('chat:a').messages.send({ text: 'left behind' });
    await pass(100);
    crash(gone);
    const holding = open({ user: 'u1', url: 'http://h:1' });
    await pass(100);
    expect(texts(holding)).toEqual(['left behind queued']);
    const second = open();
    second.room('chat:a').messages.send({ text: 'mine' });
    await pass(100);
    expect(texts(second)).toEqual(['mine queued']);
    await holding.close();
    clients.splice(clients.indexOf(holding), 1);
    online();
    await pass(60_000);
    expect(texts(second)).toEqual(['mine sent', 'left behind sent']);
    expect(server.head).toBe(2);
  });

  it('holds a lock only while something is unsent: it costs the page the back/forward cache', async () => {
    const client = open();
    await pass(1_000);
    expect(locks.names).toEqual([]);
    offline();
    client.room('chat:a').messages.send({ text: 'x' });
    await pass(100);
    expect(locks.names).toHaveLength(1);
    online();
    await pass(20_000);
    expect(texts(client)).toEqual(['x sent']);
    expect(locks.names).toEqual([]);
  });

  it('goes on in memory where the database fails, and says so in the log', async () => {
    vi.stubGlobal('indexedDB', {
      open: () => {
        throw new Error('no database today');
      },
    });
    const events: string[] = [];
    const client = open({ onLog: ({ event }) => events.push(event) });
    client.room('chat:a').messages.send({ text: 'x' });
    await pass(1_000);
    expect(texts(client)).toEqual(['x sent']);
    expect(events).toContain('storage');
  });

  it('cancels what never went out, also after a reload, and not what may be stored', async () => {
    const before = open();
    await pass(1_000);
    server.test.network.blackhole();
    before.room('chat:a').messages.send({ text: 'may be stored' });
    await pass(10);
    offline();
    await pass(10);
    before.room('chat:a').messages.send({ text: 'waits' });
    await pass(100);
    crash(before);
    const after = open();
    await pass(10);
    const [first, second] = after.room('chat:a').messages.list.get();
    expect(after.room('chat:a').messages.discard(first?.tag as string)).toBe(false);
    expect(after.room('chat:a').messages.discard(second?.tag as string)).toBe(true);
    await pass(10);
    crash(after);
    const later = open();
    await pass(10);
    expect(texts(later)).toEqual(['may be stored queued']);
  });

  it('survives a crash between any two writes: what was kept or sent is in the log once and in order', async () => {
    const put = IDBObjectStore.prototype.put;
    const remove = IDBObjectStore.prototype.delete;
    let writes = 0;
    for (let at = 0; at <= 14; at++) {
      vi.stubGlobal('indexedDB', new IDBFactory());
      server.test.delete('chat:a');
      offline();
      const kept = new Set<string>();
      let left = at;
      let crashed = false;
      const counted = (write: () => IDBRequest) => {
        if (left-- > 0) return write();
        crashed = true;
        throw new Error('the page is gone');
      };
      IDBObjectStore.prototype.put = function (value: StoredSend) {
        return counted(() => {
          const request = put.call(this, value);
          this.transaction.addEventListener('complete', () => kept.add(value.tag));
          writes++;
          return request;
        });
      };
      IDBObjectStore.prototype.delete = function (key) {
        return counted(() => remove.call(this, key));
      };
      const before = open();
      const tags: string[] = [];
      for (let i = 0; i < 3 && !crashed; i++) {
        tags.push(before.room('chat:a').messages.send({ text: `t${i}` }, { tag: tagOf(i + 1) }).tag);
        await rest();
      }
      if (!crashed) online();
      for (let ms = 0; ms < 20_000 && !crashed; ms += 5) await vi.advanceTimersByTimeAsync(5).then(rest);
      for (let i = 3; i < 5 && !crashed; i++) {
        tags.push(before.room('chat:a').messages.send({ text: `t${i}` }, { tag: tagOf(i + 1) }).tag);
        await vi.advanceTimersByTimeAsync(7);
        await rest();
      }
      const sent = new Set(server.log.map(event => event.tag));
      crash(before);
      IDBObjectStore.prototype.put = put;
      IDBObjectStore.prototype.delete = remove;
      online();
      const after = open();
      await pass(5_000);
      const log = server.log.map(event => event.tag);
      const expected = tags.filter(tag => kept.has(tag) || sent.has(tag));
      expect(log, `crash at write ${at}`).toEqual(expected);
      expect(after.status.get().pendingSends).toBe(0);
      crash(after);
    }
    expect(writes).toBeGreaterThan(20);
  });
});
