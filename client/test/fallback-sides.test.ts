import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Client, createClient } from '../src/index.js';
import { createTestServer, type TestClientOptions, type TestServer } from '../src/testing/index.js';
import { SharedSides } from '../src/transport/http/folded.js';
import { FakeLog } from './fake/http.js';
import { FakeTabs } from './fake/tabs.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const ROOM = 'chat:a';

let server: TestServer;
const tabClients: Client[] = [];

/** What stands behind `?` of the streams that were asked for, without their rooms. */
const asked = () =>
  server.requests
    .filter(({ path }) => path === '/v1/sse')
    .map(({ query }) => {
      query.delete('room');
      return decodeURIComponent(query.toString());
    });
/** The commands that streams were given. */
const commands = (op: string) =>
  server.requests.filter(
    ({ path, body }) => path.startsWith('/v1/connections/') && (body as { op: string }).op === op,
  );

/** A user whose client follows the room; WebSockets where no transport is named. */
async function open(user: string, { url, ...options }: TestClientOptions & { url?: string } = {}) {
  const { fetch } = server;
  const client = url
    ? createClient({ url, fetch, token: async () => server.token(user), ...options })
    : server.client({ user, ...options });
  if (url) tabClients.push(client);
  const room = client.room<{ text: string }, { name?: string }>(ROOM);
  room.attach();
  await pass(500);
  return { client, room };
}

/** One who looks at everything, over a WebSocket. */
async function bob() {
  const opened = await open('bob');
  const { presence, typing, broadcasts, receipts } = opened.room;
  for (const each of [presence.others, typing.who, broadcasts, receipts.marks]) each.subscribe(() => {});
  await pass(100);
  return opened.room;
}

beforeEach(async () => {
  await Promise.all([
    import('../src/client/sides/part.js'),
    import('../src/client/me.js'),
    import('../src/transport/fallback.js'),
    import('../src/transport/http/shared.js'),
    import('../src/transport/http/stream.js'),
    import('../src/transport/http/poll.js'),
    import('../src/transport/http/asides.js'),
  ]);
  vi.useFakeTimers();
  server = createTestServer();
  server.network.delay(2);
});
afterEach(async () => {
  for (const client of tabClients.splice(0)) await client.close();
  await server.close();
  await pass(30_000);
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

describe('sides over server-sent events', () => {
  const sse: TestClientOptions = { transports: ['sse'] };

  it('asks for nothing until somebody wants it, then by another stream from its positions (SIDE-1, PRES-15)', async () => {
    const { room } = await open('ann', sse);
    server.append(ROOM, { data: { text: 'x' } });
    room.receipts.unread.subscribe(() => {});
    await pass(500);
    room.presence.others.subscribe(() => {});
    await pass(500);
    server.append(ROOM, { data: { text: 'y' } });
    await pass(500);
    expect(asked()).toEqual(['', 'with=receipts&present=false', `with=presence,receipts&present=${ROOM}`]);
    expect(room.messages.list.get().map(({ seq }) => seq)).toEqual([1, 2]);
    expect(room.status.get()).toMatchObject({ state: 'live', gaps: 0 });
    expect(room.receipts.unread.get()).toBe(2);
  });

  it('is hidden in the rooms whose presence it does not use, or has left', async () => {
    const { client, room } = await open('ann', sse);
    const other = client.room('chat:b');
    other.attach();
    room.presence.others.subscribe(() => {});
    await pass(500);
    expect(asked().at(-1)).toBe(`with=presence&present=${ROOM}`);
    room.presence.leave();
    await pass(500);
    expect(asked().at(-1)).toBe('with=presence&present=false');
  });

  it('sees who is here, and is seen with its data, also on the next stream (PRES-3)', async () => {
    const there = await bob();
    const { room } = await open('ann', sse);
    room.presence.others.subscribe(() => {});
    room.presence.set({ name: 'Ann' });
    await pass(500);
    expect(room.presence.others.get()).toMatchObject([{ user: 'bob' }]);
    expect(room.presence.self.get()).toMatchObject({ user: 'ann', data: { name: 'Ann' } });
    expect(there.presence.others.get()).toMatchObject([{ user: 'ann', data: { name: 'Ann' } }]);
    const before = commands('presence').length;
    room.receipts.unread.subscribe(() => {});
    await pass(500);
    expect(there.presence.others.get()).toMatchObject([{ user: 'ann', data: { name: 'Ann' } }]);
    expect(commands('presence').length).toBe(before + 1);
  });

  it('is given the parts of a message that streams, on each stream from the beginning (PART-9)', async () => {
    let say = (_: object) => {};
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const answer = await server.fetch(input, init);
      if (!String(input).includes('/v1/sse')) return answer;
      const through = new TransformStream({
        start: into => {
          say = data =>
            into.enqueue(new TextEncoder().encode(`event: part\ndata: ${JSON.stringify(data)}\n\n`));
        },
      });
      return new Response(answer.body?.pipeThrough(through), answer);
    };
    server.append(ROOM, { author: 'bob', data: { text: 'So: ', streaming: true } });
    const { room } = await open('ann', { ...sse, fetch });
    const text = () => room.messages.list.get()[0]?.data.text;
    expect(asked().at(-1)).toBe('with=parts&present=false');
    say({ room: ROOM, seq: 1, offset: 0, text: 'one' });
    say({ room: ROOM, seq: 1, offset: 3, text: ' two' });
    await pass(100);
    expect(text()).toBe('So: one two');
    room.receipts.unread.subscribe(() => {});
    await pass(500);
    expect(asked().at(-1)).toBe('with=parts,receipts&present=false');
    say({ room: ROOM, seq: 1, offset: 0, text: 'one two three' });
    await pass(100);
    expect(text()).toBe('So: one two three');
  });

  it('types, and stops with the message', async () => {
    const there = await bob();
    const { room } = await open('ann', sse);
    room.typing.who.subscribe(() => {});
    there.typing.keystroke();
    room.typing.keystroke();
    await pass(500);
    expect(room.typing.who.get()).toEqual(['bob']);
    expect(there.typing.who.get()).toEqual(['ann']);
    await pass(2_000);
    room.typing.keystroke(); // the same once more is said once more
    await pass(500);
    expect(commands('signal').length).toBe(2);
    room.messages.send({ text: 'done' });
    await pass(500);
    expect(there.typing.who.get()).toEqual([]);
  });

  it('broadcasts the latest of each key five times a second at most, and does not hear itself (SIG-2)', async () => {
    const there = await bob();
    const { room } = await open('ann', sse);
    const heard: unknown[] = [];
    room.on('broadcast', ({ user, data }) => heard.push([user, data]));
    await pass(500);
    for (let x = 1; x <= 100; x++) {
      room.broadcast('cursor', { x });
      await pass(10);
    }
    await pass(300);
    expect(commands('signal').length).toBeGreaterThan(3);
    expect(commands('signal').length).toBeLessThan(8);
    expect(there.broadcasts.get()).toMatchObject([{ user: 'ann', data: { x: 100 } }]);
    there.broadcast('cursor', { x: 7 });
    await pass(300);
    room.broadcast('cursor', null);
    await pass(300);
    expect(heard).toEqual([['bob', { x: 7 }]]);
    expect(there.broadcasts.get()).toEqual([]);
  });

  it('marks by request, and hears of others and of its own on other devices (RCPT-11, RCPT-4)', async () => {
    const there = await bob();
    const { room } = await open('ann', sse);
    const twin = await open('ann');
    room.receipts.marks.subscribe(() => {});
    twin.room.receipts.unread.subscribe(() => {});
    for (const text of ['x', 'y']) server.append(ROOM, { author: 'bob', data: { text } });
    await pass(1_000);
    expect(room.receipts.unread.get()).toBe(2);
    room.receipts.markRead(1);
    await pass(1_000);
    expect(there.receipts.readers(1)).toEqual(['ann']);
    expect(twin.room.receipts.unread.get()).toBe(1);
    twin.room.receipts.markRead(2);
    there.receipts.markRead(2);
    await pass(1_000);
    expect(room.receipts.unread.get()).toBe(0);
    expect(room.receipts.readers(2)).toEqual(['bob']);
  });

  it('sends a mark again that was not answered', async () => {
    let cut = 3;
    const { room } = await open('ann', {
      ...sse,
      fetch: (input, init) => {
        const isMark = String(input).endsWith('/receipt') && String(init?.body).includes('"read":1');
        if (isMark && cut-- > 0) return Promise.reject(new TypeError('cut'));
        return server.fetch(input, init);
      },
    });
    server.append(ROOM, { author: 'bob', data: { text: 'x' } });
    room.receipts.unread.subscribe(() => {});
    await pass(1_000);
    room.receipts.markRead();
    await pass(3_000);
    expect(cut).toBeLessThan(0);
    const other = await open('ann');
    other.room.receipts.unread.subscribe(() => {});
    await pass(1_000);
    expect(other.room.receipts.lastRead.get()).toBe(1);
  });

  it('says again what another node did not take (PRES-15), and what was refused for good only once', async () => {
    const there = await bob();
    const answers = [503, 503, 403];
    const { room } = await open('ann', {
      ...sse,
      fetch: (input, init) => {
        const status = String(input).includes('/connections/') && answers.shift();
        const code = status === 403 ? 'forbidden' : 'unavailable';
        if (!status) return server.fetch(input, init);
        return Promise.resolve(
          Response.json({ op: 'error', code, title: 'No.', retryable: status === 503 }, { status }),
        );
      },
    });
    room.presence.set({ name: 'Ann' });
    await pass(300);
    expect(answers).toEqual([503, 403]);
    await pass(3_000);
    expect(answers).toEqual([]);
    expect(there.presence.others.get()).toMatchObject([{ user: 'ann', data: {} }]);
    room.presence.set({ name: 'Anna' });
    await pass(3_000);
    expect(there.presence.others.get()).toMatchObject([{ data: { name: 'Anna' } }]);
  });

  it('goes on with the log where a server refuses what is beside it (MEM-12)', async () => {
    const { client, room } = await open('ann', {
      ...sse,
      fetch: (input, init) => {
        if (!String(input).includes('me=true')) return server.fetch(input, init);
        const refusal = { code: 'bad_request', title: 'No members.', field: 'me', retryable: false };
        return Promise.resolve(Response.json(refusal, { status: 400 }));
      },
    });
    client.rooms.subscribe(() => {});
    await pass(500);
    server.append(ROOM, { data: { text: 'x' } });
    await pass(100);
    expect(room.messages.list.get().length).toBe(1);
    expect(asked()).toEqual(['', '']);
  });
});

describe('sides over long polls', () => {
  const poll: TestClientOptions = { transports: ['poll'] };

  it('asks who is here every ten seconds, unseen; marks by request; signals are silently not there', async () => {
    const there = await bob();
    const { room } = await open('ann', poll);
    room.presence.others.subscribe(() => {});
    room.presence.set({ name: 'Ann' });
    room.typing.keystroke();
    room.broadcast('cursor', { x: 1 });
    await pass(500);
    expect(room.presence.others.get()).toMatchObject([{ user: 'bob' }]);
    expect(room.presence.occupancy.get()).toMatchObject({ users: 1, stale: false });
    const cleo = await open('cleo');
    cleo.room.presence.others.subscribe(() => {});
    await pass(10_000);
    expect(room.presence.others.get().map(({ user }) => user)).toEqual(['bob', 'cleo']);
    const asks = server.requests.filter(({ path }) => path.endsWith('/presence')).length;
    expect(asks).toBeLessThan(5);
    server.append(ROOM, { author: 'bob', data: { text: 'x' } });
    room.receipts.markRead(1);
    await pass(2_000);
    room.receipts.markRead(1);
    await pass(2_000);
    expect(room.receipts.unread.get()).toBe(0);
    expect(there.receipts.readers(1)).toEqual(['ann']);
    expect(there.presence.others.get().map(({ user }) => user)).toEqual(['cleo']);
    expect(there.typing.who.get()).toEqual([]);
    expect(commands('signal')).toEqual([]);
  });
});

describe('sides over a stream that tabs share', () => {
  let tabs: FakeTabs;
  beforeEach(() => {
    tabs = new FakeTabs(new FakeLog());
    tabs.stub();
  });

  /** A tab of Ann's. */
  const tab = () => open('ann', { url: tabs.open().origin, transports: ['sse'] });
  const streams = () => server.connections.filter(({ transport }) => transport === 'sse').length;

  it('each tab is given what it asked for, also who comes late, and to others they are one device', async () => {
    const there = await bob();
    const one = await tab();
    one.room.presence.others.subscribe(() => {});
    one.room.typing.who.subscribe(() => {});
    await pass(500);
    const before = asked().length;
    const two = await tab();
    two.room.presence.others.subscribe(() => {});
    await pass(500);
    expect(asked().length).toBe(before);
    expect(streams()).toBe(1);
    for (const { room } of [one, two]) expect(room.presence.others.get()).toMatchObject([{ user: 'bob' }]);
    expect(there.presence.others.get()).toMatchObject([{ user: 'ann', devices: [{}] }]);
    there.typing.keystroke();
    await pass(500);
    expect(one.room.typing.who.get()).toEqual(['bob']);
    expect(two.room.typing.who.get()).toEqual([]);
    two.room.receipts.marks.subscribe(() => {});
    await pass(500);
    expect(asked().at(-1)).toBe(`with=presence,receipts,signals&present=${ROOM}`);
    expect(streams()).toBe(1);
  });

  it('are idle where all are that are present', () => {
    const aside = (present: boolean, idle: boolean) =>
      new Map([[ROOM, { with: ['presence'], present, idle, shown: new Map() }]]);
    const folded = (...tabs: ReturnType<typeof aside>[]) => {
      const sides = new SharedSides();
      sides.fold(tabs, new Map([[ROOM, {}]]));
      return sides.folded.get(ROOM)?.idle;
    };
    expect(folded(aside(true, true), aside(true, false))).toBe(false);
    expect(folded(aside(true, false), aside(true, true))).toBe(false);
    expect(folded(aside(true, true), aside(true, true))).toBe(true);
    expect(folded(aside(true, true), aside(false, false))).toBe(true);
    expect(folded(aside(false, false), aside(true, true))).toBe(true);
  });

  it('what a tab shows goes by the holder, and is shown by the next one', async () => {
    const there = await bob();
    const one = await tab();
    const two = await tab();
    two.room.presence.set({ name: 'Ann' });
    two.room.broadcast('cursor', { x: 1 });
    await pass(1_000);
    expect(there.presence.others.get()).toMatchObject([{ data: { name: 'Ann' } }]);
    expect(there.broadcasts.get()).toMatchObject([{ data: { x: 1 } }]);
    expect(two.room.broadcasts.get()).toEqual([]);
    await one.client.close();
    await pass(3_000);
    expect(streams()).toBe(1);
    expect(there.presence.others.get()).toMatchObject([{ data: { name: 'Ann' } }]);
    expect(there.broadcasts.get()).toMatchObject([{ data: { x: 1 } }]);
  });

  it('of two tabs the data counts that was shown last; a tab that ends its signal leaves the other its own', async () => {
    const there = await bob();
    const one = await tab();
    const two = await tab();
    one.room.presence.set({ name: 'One' });
    one.room.broadcast('cursor', { x: 1 });
    await pass(500);
    two.room.presence.set({ name: 'Two' });
    two.room.broadcast('cursor', { x: 2 });
    await pass(500);
    expect(there.presence.others.get()).toMatchObject([{ data: { name: 'Two' } }]);
    expect(there.broadcasts.get()).toMatchObject([{ data: { x: 2 } }]);
    two.room.broadcast('cursor', null);
    await pass(500);
    expect(there.broadcasts.get()).toMatchObject([{ data: { x: 1 } }]);
  });

  it('repairs itself where notes are lost', async () => {
    const there = await bob();
    const one = await tab();
    const two = await tab();
    tabs.faults.push(...Array.from({ length: 6 }, () => 'lost' as const));
    two.room.presence.others.subscribe(() => {});
    two.room.presence.set({ name: 'Ann' });
    await pass(500);
    tabs.faults.length = 0;
    await pass(31_000);
    expect(two.room.presence.others.get()).toMatchObject([{ user: 'bob' }]);
    expect(there.presence.others.get()).toMatchObject([{ data: { name: 'Ann' } }]);
    expect(one.room.presence.others.get()).toEqual([]);
  });
});
