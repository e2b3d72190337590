import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient } from '../src/index.js';
import { event, FakeNetwork, type FakeSocket, joined, page, refusal, span } from './fake/socket.js';

// What is loaded later is loaded in time that is not faked.
await import('../src/client/sides/part.js');
await import('../src/client/me.js');

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const SINCE = '2026-11-23T10:00:00Z';

const member = (user: string, fields: object = {}) => ({
  user,
  idle: false,
  since: SINCE,
  devices: [{ id: `${user}-1`, idle: false }],
  data: {},
  ...fields,
});
const side = (op: string, fields: object) => ({ op, room: 'chat:a', ...fields });

function setUp() {
  const network = new FakeNetwork();
  const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
  const room = client.room<{ text: string }, { x?: number; name?: string }>('chat:a');
  const up = async (prev = 0, seq = 0) => {
    await pass(0);
    const socket = network.last.welcome();
    await pass(0);
    const join = socket.take('join');
    socket.say(joined(join.id, prev, seq));
    await pass(0);
    return { socket, join };
  };
  return { network, client, room, up };
}

const all = (socket: FakeSocket, op: string) => socket.sent.filter(frame => frame.op === op);

describe('sides of a room', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('asks for nothing until somebody wants it; then joins again from where it is, unnoticed (SIDE-1)', async () => {
    const { room, up } = setUp();
    room.attach();
    const { socket, join } = await up(0, 2);
    expect('with' in join).toBe(false);
    const states: string[] = [];
    room.status.subscribe(() => states.push(room.status.get().state));
    room.presence.others.get();
    await pass(1_000);
    expect(all(socket, 'join')).toEqual([]);
    room.presence.others.subscribe(() => {});
    room.receipts.unread.subscribe(() => {});
    room.presence.self.subscribe(() => {});
    await pass(0);
    const again = all(socket, 'join');
    expect(again.at(-1)).toMatchObject({ position: 'e:2', with: ['presence', 'receipts'] });
    expect(room.status.get().state).toBe('live');
    socket.say(joined(again.at(-1)?.id, 2, 2));
    expect(new Set(states)).toEqual(new Set());
  });

  it('says nothing of a side that nobody wants', async () => {
    const { room, up } = setUp();
    room.attach();
    room.typing.who.subscribe(() => {});
    const { socket, join } = await up(0, 2);
    expect(join.with).toEqual(['signals']);
    await pass(5_000);
    expect(socket.sent).toEqual([]);
    room.receipts.unread.subscribe(() => {});
    await pass(0);
    socket.say(joined(socket.take('join').id, 2, 2));
    await pass(500);
    expect(all(socket, 'read')).toMatchObject([{ delivered: 2 }]);
  });

  it('is part of the join where it was wanted before', async () => {
    const { room, up } = setUp();
    room.presence.set({ x: 1 });
    room.presence.set({ name: 'Ann' });
    await pass(0);
    room.attach();
    const { socket, join } = await up();
    expect(join).toMatchObject({ with: ['presence'], presence: { x: 1, name: 'Ann' } });
    expect(all(socket, 'join')).toEqual([]);
  });

  describe('presence', () => {
    async function present() {
      const made = setUp();
      const { presence } = made.room;
      let renders = 0;
      presence.others.subscribe(() => renders++);
      presence.self.subscribe(() => {});
      made.room.attach();
      const { socket } = await made.up();
      const first = [member('u1', { data: { name: 'me' } }), member('u2'), member('__proto__')];
      socket.say(side('presence', { full: true, version: 5, set: first, users: 3, connections: 4 }));
      await pass(0);
      return { ...made, presence, socket, renders: () => renders };
    }

    it('knows who is here, from a snapshot and what changed since (SIDE-2)', async () => {
      const { presence, socket, renders } = await present();
      const [bob, proto] = presence.others.get();
      expect([bob?.user, proto?.user]).toEqual(['u2', '__proto__']);
      expect(bob).toMatchObject({ ...member('u2'), since: new Date(SINCE) });
      expect(presence.self.get()).toMatchObject({ user: 'u1', data: { name: 'me' } });
      expect(presence.occupancy.get()).toEqual({ users: 3, connections: 4, counts: false, stale: false });
      const was = renders();
      socket.say(
        side('presence', { prev: 5, version: 6, set: [member('u3'), member('__proto__')], gone: ['u2'] }),
      );
      await pass(0);
      expect(presence.others.get().map(({ user }) => user)).toEqual(['__proto__', 'u3']);
      expect(presence.others.get()[0]).toBe(proto);
      expect(renders()).toBe(was + 1);
      socket.say(side('presence', { prev: 6, version: 7, set: [member('u1', { idle: true })], gone: [] }));
      await pass(0);
      expect(renders()).toBe(was + 1);
      expect(presence.self.get()?.idle).toBe(true);
    });

    it('asks once for all of it when it has missed something (SIDE-3, SIDE-6)', async () => {
      const { presence, socket } = await present();
      socket.say(side('presence', { prev: 6, version: 7, set: [member('u7')], gone: ['u2'] }));
      socket.say(side('presence', { prev: 7, version: 8, set: [member('u8')], gone: [] }));
      await pass(0);
      expect(all(socket, 'sync')).toMatchObject([{ room: 'chat:a', side: 'presence' }]);
      expect(presence.others.get()).toHaveLength(2);
      socket.say(side('presence', { full: true, version: 8, set: [member('u8')] }));
      await pass(0);
      expect(presence.others.get().map(({ user }) => user)).toEqual(['u8']);
    });

    it('asks once for all of it when the digest is another than that of what it has (PRES-5)', async () => {
      const { presence, socket } = await present();
      socket.say(
        side('presence', {
          prev: 5,
          version: 6,
          set: [],
          gone: ['u1', 'u2', '__proto__'],
          digest: '00000000',
        }),
      );
      await pass(0);
      expect(all(socket, 'sync')).toEqual([]);
      const u2 = { set: [member('u2')], gone: [] };
      socket.say(side('presence', { prev: 6, version: 7, ...u2, digest: '4b03ff70' }));
      await pass(0);
      expect(all(socket, 'sync')).toEqual([]);
      socket.say(side('presence', { prev: 7, version: 8, ...u2, digest: '00000000' }));
      await pass(0);
      expect(all(socket, 'sync')).toHaveLength(1);
      expect(presence.others.get()).toHaveLength(1);
    });

    it('keeps who was here over a stale snapshot, until one is that is not (PRES-11)', async () => {
      const { presence, socket } = await present();
      const names = () => presence.others.get().map(({ user }) => user);
      const stale = { users: 2, connections: 2, digest: '00000001', stale: true };
      const first = [member('u1'), member('u3')];
      socket.say(side('presence', { full: true, version: 1, set: first, ...stale }));
      await pass(0);
      expect(names()).toEqual(['u2', '__proto__', 'u3']);
      expect(presence.occupancy.get().stale).toBe(true);
      socket.say(side('presence', { prev: 1, version: 2, set: [member('u4')], gone: ['u3'], ...stale }));
      await pass(0);
      expect(names()).toEqual(['u2', '__proto__', 'u4']); // who is named as gone is
      expect(all(socket, 'sync')).toEqual([]);
      const good = { users: 2, connections: 2, digest: '00000001' };
      socket.say(side('presence', { prev: 2, version: 3, set: [], gone: [], ...good }));
      await pass(0);
      expect(all(socket, 'sync')).toMatchObject([{ room: 'chat:a', side: 'presence' }]);
      socket.say(side('presence', { full: true, version: 3, set: [member('u1'), member('u4')], ...good }));
      await pass(0);
      expect(names()).toEqual(['u4']);
      expect(presence.occupancy.get().stale).toBe(false);
    });

    it('is counts alone in a large room, and stale while there is no connection', async () => {
      const { presence, socket } = await present();
      socket.say(side('presence', { prev: 5, version: 6, counts: true, users: 900, connections: 1_000 }));
      await pass(0);
      expect(presence.others.get()).toEqual([]);
      expect(presence.occupancy.get()).toEqual({
        users: 900,
        connections: 1_000,
        counts: true,
        stale: false,
      });
      socket.end();
      await pass(0);
      expect(presence.occupancy.get().stale).toBe(true);
    });

    it('shows its own data at once, sends it at most every 100 ms, and again with the next join', async () => {
      const { network, presence, room, socket } = await present();
      for (let x = 1; x <= 4; x++) presence.set({ x });
      await pass(0);
      expect(presence.self.get()?.data).toEqual({ x: 4 });
      expect(all(socket, 'presence').map(({ data }) => data)).toEqual([{ x: 1 }]);
      await pass(100);
      expect(all(socket, 'presence').map(({ data }) => data)).toEqual([{ x: 1 }, { x: 4 }]);
      socket.end();
      await pass(1);
      const next = network.last.welcome();
      expect(next.take('join')).toMatchObject({ with: ['presence'], presence: { x: 4 } });
      room.presence.leave();
      await pass(0);
      expect(all(next, 'join').at(-1)).toMatchObject({ present: false });
      expect(presence.self.get()).toBe(null);
      presence.set({ x: 5 });
      await pass(0);
      expect(all(next, 'join').at(-1)).toMatchObject({ present: true, presence: { x: 5 } });
    });

    it('a refusal of what was said is none of the room', async () => {
      const { presence, room, socket } = await present();
      presence.set({ x: 1 });
      await pass(0);
      socket.say(refusal(socket.take('presence'), 'rate_limited', true));
      await pass(5_000);
      expect(room.status.get().state).toBe('live');
      expect(all(socket, 'join')).toEqual([]);
    });
  });

  describe('signals', () => {
    const signal = (fields: object) => ({
      user: 'u2',
      connection: 'c7',
      type: 'cursor',
      key: '',
      data: { x: 1 },
      ...fields,
    });

    it('says at most every 2 s that somebody types, and stops with a message, by itself and when told', async () => {
      const { room, up } = setUp();
      room.attach();
      const { socket } = await up();
      room.typing.keystroke();
      await pass(0);
      socket.say(joined(socket.take('join').id, 0, 0));
      await pass(0);
      room.typing.stop();
      await pass(0);
      socket.sent.length = 0;
      const said = () => all(socket, 'signal').map(({ type, data }) => `${type} ${data}`);
      for (let i = 0; i < 10; i++) {
        room.typing.keystroke();
        await pass(300);
      }
      expect(said()).toEqual(['typing true', 'typing true']);
      await pass(6_000);
      expect(said().slice(2)).toEqual(['typing null']);
      room.typing.keystroke();
      room.messages.send({ text: 'hi' });
      await pass(0);
      expect(said().slice(3)).toEqual(['typing true', 'typing null']);
    });

    it('knows who types until they stop, send or leave, or nothing is heard', async () => {
      const { room, up } = setUp();
      room.typing.who.subscribe(() => {});
      room.attach();
      const { socket } = await up();
      let version = 0;
      const say = async (set: object[], gone: string[] = []) => {
        const since = version++ === 0 ? { full: true } : { prev: version - 1, gone };
        socket.say(side('signals', { ...since, version, set }));
        await pass(0);
      };
      const typing = (user: string) => signal({ user, connection: user, type: 'typing', data: true });
      await say([typing('u2'), typing('u1')]);
      expect(room.typing.who.get()).toEqual(['u2']);
      await say([typing('u3')]);
      await pass(8_000);
      expect(room.typing.who.get()).toEqual(['u2', 'u3']);
      await say([], ['u3 typing ']);
      expect(room.typing.who.get()).toEqual(['u2']);
      await say([typing('u4')]);
      socket.say({ ...page(0, 1), events: [event(1, { author: 'u4' })] });
      await pass(0);
      expect(room.typing.who.get()).toEqual(['u2']);
      socket.end();
      await pass(0);
      expect(room.typing.who.get()).toEqual([]);
    });

    it('broadcasts the latest of a type and key at most every 40 ms, and what stands again on a new connection', async () => {
      const { network, room, up } = setUp();
      room.attach();
      room.broadcasts.subscribe(() => {});
      const { socket } = await up();
      for (let x = 0; x < 100; x++) {
        room.broadcast('cursor', { x });
        await pass(1);
      }
      await pass(40);
      const sent = all(socket, 'signal').map(({ data }) => (data as { x: number }).x);
      expect(sent).toHaveLength(4);
      expect(sent.at(-1)).toBe(99);
      room.broadcast('laser', 1, { key: 'k' });
      room.broadcast('laser', null, { key: 'k' });
      await pass(100);
      expect(all(socket, 'signal').slice(4)).toMatchObject([
        { data: 1, key: 'k' },
        { data: null, key: 'k' },
      ]);
      socket.end();
      await pass(1);
      const next = network.last.welcome();
      next.say(joined(next.take('join').id, 0, 0));
      await pass(0);
      expect(all(next, 'signal')).toMatchObject([{ type: 'cursor', data: { x: 99 } }]);
    });

    it('gives what others broadcast, not its own, and tells when it is over', async () => {
      const { room, up } = setUp();
      const heard: string[] = [];
      room.on('broadcast', ({ user, type, data }) => heard.push(`${user} ${type} ${JSON.stringify(data)}`));
      room.attach();
      const { socket } = await up();
      const own = signal({ user: 'u1', connection: 'c' });
      socket.say(side('signals', { full: true, version: 1, set: [signal({}), own] }));
      const other = signal({ user: 'u1', connection: 'c8' });
      socket.say(side('signals', { prev: 1, version: 2, set: [signal({ data: 2 }), other], gone: [] }));
      socket.say(side('signals', { prev: 2, version: 3, set: [], gone: ['c7 cursor '] }));
      await pass(0);
      expect(heard).toEqual(['u2 cursor {"x":1}', 'u2 cursor 2', 'u1 cursor {"x":1}', 'u2 cursor null']);
      expect(room.broadcasts.get().map(({ connection }) => connection)).toEqual(['c8']);
    });
  });

  describe('receipts', () => {
    const marked = (fields: object) =>
      side('marked', { delivered: 0, read: 0, head: 0, unread: 0, more: false, ...fields });

    async function reading(prev: number, seq: number) {
      const made = setUp();
      made.room.receipts.unread.subscribe(() => {});
      made.room.attach();
      const { socket } = await made.up(prev, seq);
      const counts = () => {
        const { lastRead, unread, firstUnread } = made.room.receipts;
        return [lastRead.get(), unread.get(), firstUnread.get()];
      };
      return { ...made, socket, counts, receipts: made.room.receipts };
    }

    it('counts what is unread at once, and marks at most every 500 ms, forwards only', async () => {
      const { socket, counts, receipts } = await reading(0, 5);
      expect(counts()).toEqual([0, 0, null]);
      socket.say(marked({ read: 2, head: 5, unread: 3, first_unread: 3 }));
      await pass(0);
      expect(counts()).toEqual([2, 3, 3]);
      await pass(500);
      expect(all(socket, 'read')).toMatchObject([{ delivered: 5, read: 2 }]);
      receipts.markRead(3);
      receipts.markRead(4);
      receipts.markRead(1);
      socket.say({ ...page(5, 7), events: [event(6, { author: 'u1' }), event(7)] });
      await pass(0);
      expect(counts()).toEqual([4, 2, 5]);
      await pass(500);
      expect(all(socket, 'read').slice(1)).toMatchObject([{ delivered: 7, read: 4 }]);
      receipts.markRead();
      await pass(0);
      expect(counts()).toEqual([7, 0, null]);
    });

    it('goes by the server where the window does not reach back so far; more than 999 is 1000', async () => {
      const { socket, counts } = await reading(5_000, 5_005);
      socket.say(marked({ read: 10, head: 5_005, unread: 999, more: true, first_unread: 12 }));
      await pass(0);
      expect(counts()).toEqual([10, 1_000, 12]);
      socket.say(marked({ read: 4_000, head: 5_005, unread: 40, first_unread: 4_002 }));
      socket.say(page(5_005, 5_007));
      await pass(0);
      expect(counts()).toEqual([4_000, 42, 4_002]);
    });

    it('keeps a mark while there is no connection; what was read elsewhere counts', async () => {
      const { network, receipts, socket, counts } = await reading(0, 5);
      socket.say(marked({ head: 5, unread: 5, first_unread: 1 }));
      socket.end();
      await pass(0);
      receipts.markRead(3);
      await pass(5_000);
      expect(counts()).toEqual([3, 2, 4]);
      const next = network.last.welcome();
      next.say(joined(next.take('join').id, 5, 5));
      await pass(500);
      expect(all(next, 'read')).toMatchObject([{ delivered: 5, read: 3 }]);
      next.say(side('receipts', { full: true, version: 1, set: [{ user: 'u1', delivered: 5, read: 4 }] }));
      await pass(0);
      expect(counts()).toEqual([4, 1, 5]);
    });

    it('begins anew with another numbering: what was read of the old one says nothing of it (RESET-3, RCPT-13)', async () => {
      const { socket, receipts, counts } = await reading(0, 5);
      socket.say(marked({ head: 5, unread: 5, first_unread: 1 }));
      receipts.markRead(5);
      await pass(500);
      socket.take('read');
      socket.say({ op: 'reset', room: 'chat:a', reason: 'epoch', epoch: 'f', floor: 1, head: 2 });
      const page = span(0, 2, 'f');
      socket.say(joined(socket.take('join').id, 0, 2, { epoch: 'f', page }));
      socket.say(marked({ head: 2, unread: 2, first_unread: 1 }));
      await pass(500);
      expect(counts()).toEqual([0, 2, 1]);
      expect(all(socket, 'read')).toEqual([expect.objectContaining({ delivered: 2 })]);
      expect(all(socket, 'read')[0]).not.toHaveProperty('read');
    });

    it('tells how far a message has come, and who has read it', async () => {
      const { receipts, socket } = await reading(0, 5);
      const set = [
        { user: 'u1', delivered: 5, read: 5 },
        { user: 'u2', delivered: 4, read: 2 },
        { user: 'u3', delivered: 3, read: 3 },
      ];
      socket.say(side('receipts', { full: true, version: 1, set }));
      await pass(0);
      expect([1, 2, 3, 4, 5].map(seq => receipts.reached(seq))).toEqual([
        'read',
        'read',
        'read',
        'delivered',
        'sent',
      ]);
      expect(receipts.readers(2)).toEqual(['u2', 'u3']);
      expect(receipts.marks.get()).toMatchObject({ delivered: { any: 4, all: 3 }, read: { any: 3, all: 2 } });
      const counts = { counts: true, delivered: { any: 5, all: 1 }, read: { any: 5, all: 0 } };
      socket.say(side('receipts', { prev: 1, version: 2, ...counts }));
      await pass(0);
      expect([receipts.reached(5), receipts.readers(1)]).toEqual(['read', []]);
    });
  });

  it("follows one's own rooms, the newest first, over every connection (MEM-10)", async () => {
    const { client, network } = setUp();
    void client.connect();
    await pass(0);
    const socket = network.last.welcome();
    expect(all(socket, 'me')).toEqual([]);
    client.rooms.subscribe(() => {});
    await pass(0);
    const me = socket.take('me');
    const overview = (room: string, at: string, fields: object = {}) => ({
      room,
      head: 9,
      role: 'member',
      last: event(9, { room, at }),
      read: 3,
      delivered: 9,
      unread: 4,
      more: false,
      first_unread: 5,
      mentions: 1,
      ...fields,
    });
    const rooms = [
      overview('chat:a', '2026-11-23T10:00:00Z'),
      overview('chat:b', '2026-11-23T11:00:00Z', { more: true }),
    ];
    socket.say({ op: 'me', id: me.id, full: true, rooms, gone: [] });
    expect(client.rooms.get()).toMatchObject([
      { room: 'chat:b', unread: 1_000 },
      { room: 'chat:a', unread: 4, firstUnread: 5, mentions: 1, last: { seq: 9, data: { text: 'm9' } } },
    ]);
    socket.say({
      op: 'me',
      rooms: [overview('chat:c', SINCE, { last: null, first_unread: undefined })],
      gone: ['chat:b'],
    });
    expect(client.rooms.get()).toMatchObject([
      { room: 'chat:a' },
      { room: 'chat:c', firstUnread: null, last: undefined },
    ]);
    socket.end();
    await pass(1);
    expect(all(network.last.welcome(), 'me')).toHaveLength(1);
  });

  it('shows no rooms of the user before, once the server says that another is here', async () => {
    const { client, network } = setUp();
    client.rooms.subscribe(() => {});
    void client.connect();
    await pass(0);
    const socket = network.last.welcome();
    await pass(0);
    socket.say({ op: 'me', full: true, rooms: [{ room: 'chat:a', head: 9, last: event(9) }], gone: [] });
    expect(client.rooms.get()).toHaveLength(1);
    socket.end();
    await pass(1);
    network.last.welcome();
    expect(client.rooms.get()).toHaveLength(1);
    network.last.end();
    await pass(1_000);
    network.last.welcome({ user: 'u9' });
    expect(client.rooms.get()).toEqual([]);
  });
});
