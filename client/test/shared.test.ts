import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, type ClientOptions, createClient, type Room } from '../src/index.js';
import { FakeLog, TOKEN, tokenOf } from './fake/http.js';
import { FakeNetwork, tagOf } from './fake/socket.js';
import { type FakeTab, FakeTabs } from './fake/tabs.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

let server: FakeLog;
let tabs: FakeTabs;
let said = 0;

interface Opened {
  tab: FakeTab;
  client: Client;
  room: Room;
  seqs: (id?: string) => (number | null)[];
}

const opened: Opened[] = [];

/** A tab whose client follows these rooms. */
async function open(rooms = ['chat:a'], options: Partial<ClientOptions> = {}): Promise<Opened> {
  const tab = tabs.open();
  const { WebSocket } = new FakeNetwork();
  const client = createClient({ url: tab.origin, token: TOKEN, transports: ['sse'], WebSocket, ...options });
  for (const id of rooms) client.room(id).attach();
  const seqs = (id = rooms[0] as string) =>
    client
      .room(id)
      .messages.list.get()
      .map(message => message.seq);
  const made = { tab, client, room: client.room(rooms[0] as string), seqs };
  opened.push(made);
  await pass(500);
  return made;
}

const say = (times = 1) => {
  for (; times > 0; times--) server.append('u2', tagOf(++said), { text: `t${said}` });
};
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
const asks = (tab: FakeTab) => tab.http.asked.filter(({ path }) => path === '/v1/sse').length;
/** The rooms of the one stream there is. */
const carried = () =>
  tabs.holders[0]?.http.asked
    .filter(({ path }) => path === '/v1/sse')
    .at(-1)
    ?.query.getAll('room');

describe('a feed shared by tabs', () => {
  beforeEach(async () => {
    await Promise.all([
      import('../src/transport/fallback.js'),
      import('../src/transport/http/shared.js'),
      import('../src/transport/http/stream.js'),
      import('../src/transport/http/poll.js'),
    ]);
    vi.useFakeTimers();
    said = 0;
    server = new FakeLog();
    tabs = new FakeTabs(server);
    tabs.stub();
  });
  afterEach(async () => {
    for (const { client } of opened.splice(0)) await client.close();
    await pass(30_000); // the last notes are on their way, and the fake server waits for nobody
    expect(vi.getTimerCount()).toBe(0);
    expect(tabs.ears.size).toBe(0);
    expect(tabs.locks.names).toEqual([]);
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  const all = (n: number) => {
    for (const { seqs, client, room } of opened.filter(({ tab }) => !tab.http.frozen)) {
      expect(seqs()).toEqual(upTo(n));
      expect(client.status.get().state).toBe('connected');
      expect(room.status.get()).toMatchObject({ state: 'live', gaps: 0 });
    }
  };

  it('tabs of one user have one stream, with the rooms of all, and each has the log', async () => {
    say(2);
    await open(['chat:a']);
    await open(['chat:a', 'chat:b']);
    await open(['chat:c']);
    say(2);
    await pass(100);
    expect(tabs.streams).toBe(1);
    expect(carried()).toEqual(['chat:a', 'chat:b', 'chat:c']);
    all(4);
    expect(opened[1]?.seqs('chat:b')).toEqual(upTo(4));
  });

  it('a tab that joins while others talk begins from its own read, and asks for no other stream', async () => {
    const { tab } = await open();
    const before = asks(tab);
    for (let n = 0; n < 5; n++) {
      say();
      const joins = open();
      say();
      await joins;
    }
    say();
    await pass(100);
    all(11);
    expect(asks(tab)).toBe(before);
    expect(tabs.streams).toBe(1);
  });

  it('a tab that leaves takes its rooms with it; one that vanishes does after a minute', async () => {
    await open();
    const leaving = await open(['chat:b']);
    const vanishing = await open(['chat:c']);
    await leaving.client.close();
    await pass(100);
    expect(carried()).toEqual(['chat:a', 'chat:c']);
    vanishing.tab.freeze();
    await pass(50_000);
    expect(carried()).toEqual(['chat:a', 'chat:c']);
    await pass(40_000);
    expect(carried()).toEqual(['chat:a']);
    vanishing.tab.thaw();
  });

  it('when the holder is closed the next one goes on, and nothing is lost or seen', async () => {
    const first = await open();
    await open();
    await open(['chat:b']);
    const states: string[] = [];
    for (const { client } of opened.slice(1))
      client.status.subscribe(() => states.push(client.status.get().state));
    say();
    await pass(100);
    await first.client.close();
    say();
    await pass(300);
    opened.shift();
    all(2);
    expect(states.filter(state => state !== 'connected')).toEqual([]);
    expect(tabs.streams).toBe(1);
    expect(carried()?.sort()).toEqual(['chat:a', 'chat:b']);
  });

  it('when the stream of the holder is cut, it takes it up again; when it cannot, another holds', async () => {
    const first = await open();
    await open();
    const cut = () => {
      for (const stream of [...first.tab.http.streams]) stream.cut();
    };
    cut();
    say();
    await pass(2_000);
    all(1);
    expect(tabs.holders).toEqual([first.tab]);
    first.tab.http.down = true;
    cut();
    say();
    await pass(2_000);
    expect(opened[1]?.seqs()).toEqual([1, 2]);
    expect(tabs.holders).toEqual([opened[1]?.tab]);
    first.tab.http.down = false;
    await pass(20_000);
    all(2);
    expect(tabs.streams).toBe(1);
  });

  it('a holder that is frozen is silent, and has its place taken; thawed, it follows', async () => {
    const first = await open();
    await open();
    await open();
    await pass(14_000);
    first.tab.freeze();
    say();
    await pass(25_000);
    all(1);
    expect(tabs.holders.filter(({ http }) => !http.frozen)).toHaveLength(1);
    first.tab.thaw();
    say();
    await pass(30_000);
    all(2);
    expect(tabs.streams).toBe(1);
  });

  it('a tab that is looked at takes the place of a frozen holder within two seconds', async () => {
    const first = await open();
    const second = await open();
    first.tab.freeze();
    say();
    second.client.retryNow(); // what a page does when it is seen again
    await pass(2_000);
    expect(second.seqs()).toEqual([1]);
    expect(second.client.status.get().state).toBe('connected');
    first.tab.thaw();
  });

  it('a holder from whom the lock is taken ends its stream, though it is awake', async () => {
    const first = await open();
    await open();
    tabs.mute = true;
    say();
    await pass(25_000);
    tabs.mute = false;
    expect(tabs.holders).toEqual([opened[1]?.tab]);
    say();
    await pass(16_000);
    all(2);
    expect(first.client.status.get().attempt).toBe(0);
  });

  it('closes a hole when the next page shows it', async () => {
    await open();
    await open();
    tabs.faults.push('lost');
    say();
    await pass(100);
    expect(opened[1]?.seqs()).toEqual([]);
    say();
    await pass(100);
    all(2);
  });

  it('does not take the place of a holder that is only quiet', async () => {
    const first = await open();
    await open();
    await open();
    await pass(200_000);
    expect(tabs.holders).toEqual([first.tab]);
    expect(asks(first.tab)).toBe(1);
  });

  it.each(['lost', 'twice', 'late'] as const)('a note that is %s', async fault => {
    await open();
    await open();
    await open(['chat:b']);
    for (let n = 0; n < 6; n++) {
      if (n % 2 === 0) tabs.faults.push(fault);
      say();
      await pass(40);
    }
    tabs.faults.push(fault);
    say();
    await pass(16_000);
    all(7);
    expect(tabs.streams).toBe(1);
  });

  it('users share nothing, nor do tokens with other grants, nor tokens that do not say whose they are', async () => {
    await open();
    await open(['chat:a'], { token: tokenOf('u2') });
    await open(['chat:a'], { token: tokenOf('u1', { grants: [{ rooms: 'chat:a', can: ['read'] }] }) });
    await open(['chat:a'], { token: 'opaque' });
    say();
    await pass(100);
    all(1);
    expect(tabs.streams).toBe(4);
    expect(JSON.stringify(tabs.notes)).not.toContain('x.'); // no token goes over a channel
  });

  it('a room that is taken away is told to the tabs that follow it, and the others go on', async () => {
    const first = await open();
    const second = await open(['chat:b']);
    for (const { tab } of opened) tab.http.refused.add('chat:b');
    await open(['chat:c']);
    opened[2]?.tab.http.refused.add('chat:b');
    await pass(5_000);
    say();
    await pass(100);
    expect(second.room.status.get()).toMatchObject({ state: 'denied', error: { code: 'unknown_room' } });
    expect(first.seqs()).toEqual([1]);
    expect(opened[2]?.seqs()).toEqual([1]);
    expect(opened.map(({ client }) => client.status.get().attempt)).toEqual([0, 0, 0]);
    expect(carried()).toEqual(['chat:a', 'chat:c']);
  });

  it('a store that was restored resets every tab by its own read (RESET-3)', async () => {
    say(5);
    await open();
    await open();
    await open();
    server.restore(3);
    await pass(16_000);
    say();
    await pass(16_000);
    all(3);
    expect(tabs.streams).toBe(1);
  });

  it('more rooms than a stream may follow: the others are read', async () => {
    const rooms = (from: string) => Array.from({ length: 20 }, (_, n) => `chat:${from}${n}`);
    await open(rooms('x'));
    const second = await open(rooms('y'));
    say();
    await pass(16_000);
    expect(carried()).toHaveLength(32);
    expect(rooms('y').map(id => second.seqs(id))).toEqual(rooms('y').map(() => [1]));
  });

  it('a proxy that holds streams back: all tabs poll, and share that too', async () => {
    for (let n = 0; n < 3; n++) await open(['chat:a'], { transports: ['sse', 'poll'] });
    for (const { http } of tabs.tabs) http.buffers = true;
    for (const { http } of tabs.tabs) for (const stream of [...http.streams]) stream.cut();
    await pass(8_000);
    say();
    await pass(500);
    all(1);
    expect(opened.map(({ client }) => client.status.get().transport)).toEqual(['poll', 'poll', 'poll']);
    const from = tabs.tabs.map(({ http }) => http.asked.length);
    await pass(26_000);
    const waited = tabs.tabs.map(
      ({ http }, i) => http.asked.slice(from[i]).filter(({ query }) => query.has('wait')).length,
    );
    expect(waited.filter(n => n > 0)).toHaveLength(1);
  });

  it('over HTTP/2 each tab has a stream of its own', async () => {
    vi.spyOn(performance, 'getEntriesByType').mockImplementation(() => [
      { name: 'http://tab1/v1/rooms?limit=1', nextHopProtocol: 'h2' } as unknown as PerformanceEntry,
      { name: 'http://tab2/v1/rooms?limit=1', nextHopProtocol: 'h3' } as unknown as PerformanceEntry,
    ]);
    await open();
    await open();
    await open();
    expect(tabs.streams).toBe(3);
    vi.restoreAllMocks();
  });

  it('a stream that falls silent is given up though the server answers (BEAT-5)', async () => {
    const { tab, client } = await open();
    await pass(14_000);
    tab.http.mute();
    say();
    await pass(22_000);
    all(1);
    expect(client.status.get().attempt).toBeLessThan(2);
  });
});
