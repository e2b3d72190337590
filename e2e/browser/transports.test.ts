import { type Client, type ConnectionStatus, createClient, type Room } from 'roomlog';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from './home.ts';
import { FaultProxy, holdingProxy } from './proxy.ts';
import { Server } from './server.ts';

// The transports against the real server. To the fault proxy a connection's class is the path of its first request, and
// fetch keeps connections: only sockets can be told by it.

let server: Server;
let proxy: FaultProxy;
let rooms = 0;
const clients: Client[] = [];

beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server?.stop());
beforeEach(async () => {
  proxy = await FaultProxy.start(server.url);
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map(client => client.close()));
  await proxy?.stop();
});

interface Talker {
  readonly client: Client;
  readonly room: Room;
  readonly transport: () => Promise<string | undefined>;
  readonly texts: () => Promise<string[]>;
  readonly status: () => Promise<ConnectionStatus>;
}

async function open(id: string, user: string, url = proxy.url): Promise<Talker> {
  const client = createClient({
    url,
    WebSocket,
    backoff: { maxMs: 1_000 },
    token: async ({ signal }) => {
      const answer = await fetch(`${server.url}/v1/dev/token?user=${user}`, { signal });
      return ((await answer.json()) as { token: string }).token;
    },
  });
  clients.push(client);
  const room = client.room(id);
  room.attach();
  const texts = async () => room.messages.list.get().map(message => message.data.text);
  const status = async () => client.status.get();
  return { client, room, texts, status, transport: async () => (await status()).transport };
}

/** Makes a user a member of a room, for the list of their rooms. */
async function enrol(id: string, user: string): Promise<void> {
  const { token } = (await (await fetch(`${server.url}/v1/dev/token?user=admin`)).json()) as {
    token: string;
  };
  const answer = await fetch(`${server.url}/v1/rooms/${id}/members/${user}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{"role":"member"}',
  });
  expect(answer.status).toBe(201);
}

const unread = async ({ client }: Talker) => client.rooms.get().map(({ room, unread }) => [room, unread]);

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `n${from + i}`);

/** Says n1 to n60 while `disturb` goes on; both have all of it in the end, in order and once, and so does the server. */
async function talk(
  id: string,
  speaker: Talker,
  listener: Talker,
  disturb: () => Promise<void>,
): Promise<void> {
  const sent = numbers(1, 30).map(text => speaker.room.messages.send({ text }));
  await disturb();
  sent.push(...numbers(31, 60).map(text => speaker.room.messages.send({ text })));
  await Promise.all(sent);
  await eventually(listener.texts).toEqual(numbers(1, 60));
  await eventually(speaker.texts).toEqual(numbers(1, 60));
  expect((await server.log(id)).map(event => event.data.text)).toEqual(numbers(1, 60));
  expect(listener.room.status.get().gaps).toBe(0);
}

const next = () => `chat:t${++rooms}`;

test('upgrades are blocked: server-sent events, and sends in order through cuts', async () => {
  await proxy.fault({ kind: 'cut-after', class: '/v1/ws', direction: 'down', bytes: 0 });
  const id = next();
  const [speaker, listener] = [await open(id, 'ann'), await open(id, 'bob')];
  await eventually(speaker.transport).toBe('sse');
  await eventually(listener.transport).toBe('sse');
  await talk(id, speaker, listener, () => proxy.cut(''));
});

test('upgrades are blocked: who is here, who types and who has read it come over the stream', async () => {
  await proxy.fault({ kind: 'cut-after', class: '/v1/ws', direction: 'down', bytes: 0 });
  const id = next();
  const [ann, bob] = [await open(id, 'ann'), await open(id, 'bob', server.url)];
  for (const { room } of [ann, bob]) {
    for (const each of [room.presence.others, room.typing.who, room.broadcasts, room.receipts.marks])
      each.subscribe(() => {});
    room.presence.set({ name: room === ann.room ? 'Ann' : 'Bob' });
  }
  const others = async (room: Room) => room.presence.others.get().map(({ user, data }) => [user, data]);
  await eventually(ann.transport).toBe('sse');
  await eventually(() => others(ann.room)).toEqual([['bob', { name: 'Bob' }]]);
  await eventually(() => others(bob.room)).toEqual([['ann', { name: 'Ann' }]]);

  bob.room.broadcast('cursor', { x: 1 });
  ann.room.broadcast('cursor', { x: 2 });
  await eventually(async () => {
    ann.room.typing.keystroke(); // again and again, as who types does: it is shown for six seconds
    return bob.room.typing.who.get();
  }).toEqual(['ann']);
  await eventually(async () => ann.room.broadcasts.get().map(({ data }) => data)).toEqual([{ x: 1 }]);
  await eventually(async () => bob.room.broadcasts.get().map(({ data }) => data)).toEqual([{ x: 2 }]);

  const { seq } = await ann.room.messages.send({ text: 'read me' });
  await eventually(async () => bob.room.receipts.unread.get()).toBe(1);
  await eventually(async () => bob.room.typing.who.get()).toEqual([]);
  bob.room.receipts.markRead();
  await eventually(async () => ann.room.receipts.readers(seq as number)).toEqual(['bob']);
  await bob.room.messages.send({ text: 'and me' });
  await eventually(ann.texts).toEqual(['read me', 'and me']);
  ann.room.receipts.markRead();
  await eventually(async () => bob.room.receipts.reached((seq as number) + 1)).toBe('read');

  await enrol(id, 'ann');
  ann.client.rooms.subscribe(() => {});
  await eventually(() => unread(ann)).toEqual([[id, 0]]);
  await bob.room.messages.send({ text: 'and a third' });
  await eventually(() => unread(ann)).toEqual([[id, 1]]);
  expect([ann.room.status.get().gaps, bob.room.status.get().gaps]).toEqual([0, 0]);
});

test('upgrades hang: server-sent events within seconds', async () => {
  await proxy.fault({ kind: 'blackhole', class: '/v1/ws' });
  const id = next();
  const speaker = await open(id, 'ann');
  await eventually(speaker.transport).toBe('sse');
  await talk(id, speaker, await open(id, 'bob', server.url), async () => {});
});

test('streams are held back too: long polling', async () => {
  const between = await holdingProxy(server.url);
  const id = next();
  const [speaker, listener] = [await open(id, 'ann', between.url), await open(id, 'bob', between.url)];
  await eventually(speaker.transport).toBe('poll');
  await eventually(listener.transport).toBe('poll');
  await talk(id, speaker, listener, async () => {});

  const third = await open(id, 'cleo', server.url);
  third.room.presence.set({});
  third.room.receipts.marks.subscribe(() => {});
  await eventually(async () => third.room.presence.self.get()?.devices.length).toBe(1);
  await enrol(id, 'bob');
  listener.client.rooms.subscribe(() => {});
  listener.room.presence.others.subscribe(() => {});
  await eventually(async () => listener.room.presence.others.get().map(({ user }) => user)).toEqual(['cleo']);
  await eventually(() => unread(listener)).toEqual([[id, 0]]);
  listener.room.receipts.markRead();
  await eventually(async () => third.room.receipts.readers(60)).toEqual(['bob']);
  between.stop();
});

test('a socket that is cut again and again gives way, and what was said meanwhile comes', async () => {
  const id = next();
  const speaker = await open(id, 'ann', server.url);
  const listener = await open(id, 'bob');
  await eventually(listener.transport).toBe('websocket');
  const cutSocket = async () => {
    const now = await listener.transport();
    if (now === 'websocket') await proxy.cut('/v1/ws');
    return now;
  };
  await talk(id, speaker, listener, () => eventually(cutSocket).toBe('sse'));
});

test('a server that is away is waited for, not gone around', async () => {
  const id = next();
  const speaker = await open(id, 'ann');
  await eventually(speaker.transport).toBe('websocket');
  await proxy.fault({ kind: 'refuse' });
  await proxy.cut('');
  await eventually(async () => (await speaker.status()).attempt).toBeGreaterThan(4);
  await proxy.heal();
  await eventually(speaker.transport).toBe('websocket');
});
