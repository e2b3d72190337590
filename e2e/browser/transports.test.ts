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
