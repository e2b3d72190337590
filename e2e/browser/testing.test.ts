import { randomUUID } from 'node:crypto';
import {
  type Client,
  createClient,
  type Message,
  type Room,
  type TransportName,
  type WebSocketConstructor,
} from 'roomlog';
import { createTestServer, type TestServer } from 'roomlog/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { Server } from './server.ts';

// The server in memory that applications test with and the real one are driven by the same random steps of the same clients;
// after each step the lists have to be the same.

type Body = { text: string };
const USERS = ['ann', 'ben'] as const;
/** Generous, for a machine that does other things as well. */
const patience = { timeout: 20_000, interval: 10 };

/** Numbers from 0 to below n, the same for the same seed. */
function dice(seed: number): (n: number) => number {
  let state = (seed % 2_147_483_646) + 1;
  return n => {
    state = (state * 48_271) % 2_147_483_647;
    return state % n;
  };
}

/** One of the two worlds: a server, and two people at it. */
interface World {
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly clients: Client[];
  /** What ends an attachment, by user and room. */
  readonly attached: Map<string, () => void>;
  token(user: string): Promise<string>;
  client(user: string): Client;
  /** Ends every connection without a word. */
  cut(): void;
}

function remembered(Socket: WebSocketConstructor): { Socket: WebSocketConstructor; all: WebSocket[] } {
  const all: WebSocket[] = [];
  return {
    all,
    Socket: class extends Socket {
      constructor(url: string, protocols?: string | string[]) {
        super(url, protocols);
        all.push(this as unknown as WebSocket);
      }
    },
  };
}

function realWorld(server: Server, transport: TransportName): World {
  let requests = new AbortController();
  const { Socket, all } = remembered(WebSocket as unknown as WebSocketConstructor);
  const token = async (user: string) => {
    const answer = await fetch(`${server.url}/v1/dev/token?user=${user}`);
    return ((await answer.json()) as { token: string }).token;
  };
  return {
    url: server.url,
    fetch,
    clients: [],
    attached: new Map(),
    token,
    client: user =>
      createClient({
        url: server.url,
        token: () => token(user),
        WebSocket: Socket,
        fetch: (input, init = {}) => {
          const signals = [requests.signal, ...(init.signal ? [init.signal] : [])];
          return fetch(input, { ...init, signal: AbortSignal.any(signals) });
        },
        transports: [transport],
        user,
        backoff: { minMs: 10, maxMs: 50 },
      }),
    cut: () => {
      for (const socket of all) socket.terminate();
      requests.abort();
      requests = new AbortController();
    },
  };
}

function testWorld(server: TestServer, transport: TransportName): World {
  return {
    url: server.url,
    fetch: server.fetch,
    clients: [],
    attached: new Map(),
    token: async user => server.token(user),
    client: user => server.client({ user, transports: [transport], backoff: { minMs: 10, maxMs: 50 } }),
    cut: () => server.network.cut(),
  };
}

/** What a person sees, without what has to differ: epochs, marks and times. */
function seen({ clients }: World, rooms: readonly string[]): unknown {
  const row = ({ seq, tag, type, author, own, data, delivery, error }: Message<Body>) =>
    [seq, tag, type, author, own, JSON.stringify(data), delivery, error?.code].join(' ');
  return clients.map(client =>
    rooms.map(id => {
      const room = client.room<Body>(id);
      const { state, seq, behind, error } = room.status.get();
      const { hasMore } = room.messages.older.get();
      // How far behind a room was when it was left depends on whether an ack or its page came first.
      const lacks = state === 'detached' ? 0 : behind;
      return {
        state,
        seq,
        behind: lacks,
        error: error?.code,
        hasMore,
        list: room.messages.list.get().map(row),
        values: state === 'live' ? valuesOf(client.room<unknown, unknown, Values>(id)) : [],
      };
    }),
  );
}

type Values = Record<string, unknown>;

const valuesOf = ({ state }: Room<unknown, unknown, Values>) =>
  Object.keys(state.get())
    .map(key => {
      const { seq, author, pending } = state.meta(key) ?? {};
      return `${key} ${JSON.stringify(state.get(key))} ${seq} ${author} ${pending}`;
    })
    .sort();

/** A step, in words, and as it is done in either world; what it gives is compared too. */
interface Step {
  readonly what: string;
  run(world: World): Promise<unknown>;
}

/** What is told of keys, without times. */
const keysOf = (entries: unknown) =>
  Object.entries(
    Object(entries) as Record<string, { value?: unknown; deleted?: true; seq: number; author: string }>,
  )
    .map(
      ([key, { value, deleted, seq, author }]) =>
        `${key} ${deleted ?? JSON.stringify(value)} ${seq} ${author}`,
    )
    .sort();

const codeOf = (error: unknown) => (error as { code?: string }).code ?? String(error);

function steps(roll: (n: number) => number, rooms: readonly string[], count: number): Step[] {
  const sent: { user: number; room: string; tag: string; data: Body }[] = [];
  const send = (user: number, room: string, tag: string, data: Body, type?: string) => (world: World) => {
    const { messages } = (world.clients[user] as Client).room<Body>(room);
    return messages.send(data, { tag, ...(type && { type }) }).then(m => [m.seq, m.delivery], codeOf);
  };
  const http =
    (method: string, path: string, body?: object, headers: object = {}) =>
    async (world: World) => {
      const answer = await world.fetch(`${world.url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${await world.token('ann')}`,
          ...(body && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body && { body: JSON.stringify(body) }),
      });
      const got = (await answer.json()) as Record<string, unknown>;
      const events = got.events as { seq: number }[] | undefined;
      const { code, field, reason, floor, head, prev, seq, duplicate, deleted, full } = got;
      return {
        status: answer.status,
        code,
        field,
        reason,
        floor,
        head,
        prev,
        seq,
        duplicate,
        deleted,
        full,
        state: keysOf(got.state),
        current: keysOf(got.current),
        events: events?.map(e => e.seq),
      };
    };
  const make = (): Step => {
    const user = roll(2);
    const room = rooms[roll(rooms.length)] as string;
    const data = { text: `t${roll(1_000)}` };
    const tag = randomUUID();
    const old = sent[roll(Math.max(1, sent.length))];
    const name = USERS[user] as string;
    const key = `${user} ${room}`;
    switch (roll(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        sent.push({ user, room, tag, data });
        return { what: `${name} sends`, run: send(user, room, tag, data) };
      case 4:
        return { what: `${name} sends what is refused`, run: send(user, room, tag, { text: 'a\0b' }) };
      case 5:
        return { what: `${name} sends another type`, run: send(user, room, tag, data, 'vote') };
      case 6:
        if (!old) break;
        return { what: 'a repeat', run: send(old.user, old.room, old.tag, old.data) };
      case 7:
        if (!old) break;
        return {
          what: 'a tag that was used',
          run: world =>
            // Of a room that was left, the page that comes with the send may settle it before it is refused.
            world.attached.has(`${old.user} ${old.room}`)
              ? send(old.user, old.room, old.tag, { text: 'other' })(world)
              : Promise.resolve('left'),
        };
      case 8:
        return {
          what: 'a cut, and a send into it',
          run: world => {
            world.cut();
            return send(user, room, tag, data)(world);
          },
        };
      case 9:
        return {
          what: `${name} leaves or comes back`,
          run: async world => {
            const it = (world.clients[user] as Client).room(room);
            const leave = world.attached.get(key);
            if (!leave) {
              world.attached.set(key, it.attach());
              return;
            }
            world.attached.delete(key);
            leave(); // which it does a moment later
            await vi.waitUntil(() => it.status.get().state === 'detached', patience);
          },
        };
      case 10: {
        const query = { before: roll(12) + 1, around: roll(12) + 1, after: roll(12) };
        const which = (['before', 'around', 'after'] as const)[roll(3)] as 'before';
        const limit = roll(5) + 1;
        return {
          what: `history ${which} ${query[which]}`,
          run: world =>
            http('GET', `/v1/rooms/${room}/events?${which}=${query[which]}&limit=${limit}`)(world),
        };
      }
      case 11:
        if (roll(4) > 0) break;
        return { what: 'a room is deleted', run: http('DELETE', `/v1/rooms/${room}`) };
      case 12: {
        const body = { tag: old?.tag ?? tag, type: 'message', data: old?.data ?? data };
        return { what: 'a send by request', run: http('POST', `/v1/rooms/${room}/events`, body) };
      }
      case 13:
      case 14: {
        const patch = {
          [`k${roll(3)}`]: roll(4) === 0 ? null : roll(100),
          [`k${roll(5)}`]: { n: roll(100) },
        };
        const ifSeq = roll(2) === 0 ? roll(8) : undefined;
        return {
          what: `${name} sets ${JSON.stringify(patch)}, compared with ${ifSeq}`,
          run: world =>
            (world.clients[user] as Client)
              .room<Body>(room)
              .messages.send(patch as never, { tag, type: 'state', ifSeq })
              .then(
                m => [m.seq, m.delivery],
                error => [codeOf(error), keysOf(error.current)],
              ),
        };
      }
      case 15: {
        const headers = { 'idempotency-key': tag, ...(roll(2) === 0 && { 'if-match': `"${roll(8)}"` }) };
        const since = roll(6);
        const change = { [`k${roll(3)}`]: roll(3) === 0 ? null : roll(100) };
        return {
          what: 'state is set and read by request',
          run: async world => [
            await http('PATCH', `/v1/rooms/${room}/state`, change, headers)(world),
            await http('GET', `/v1/rooms/${room}/state`)(world),
            await http('GET', `/v1/rooms/${room}/state?since=${since}`)(world),
          ],
        };
      }
    }
    return {
      what: 'more',
      run: world => (world.clients[user] as Client).room(room).messages.loadOlder(3).catch(codeOf),
    };
  };
  return Array.from({ length: count }, make);
}

describe('the server of roomlog/testing and the real one', () => {
  const seed = Number(process.env.ROOMLOG_SEED ?? Date.now() % 2 ** 31);
  let server: Server;
  let memory: TestServer;
  beforeEach(async () => {
    server = await Server.start();
    memory = createTestServer();
  });
  afterEach(async () => {
    await memory?.close();
    await server?.stop();
  });

  it.each([
    ['websocket', 120],
    ['sse', 50],
    ['poll', 50],
  ] as const)(
    `show the same to the same clients over %s, %i steps, ROOMLOG_SEED=${seed}`,
    async (transport, count) => {
      const roll = dice(seed);
      const rooms = ['chat:a', 'chat:b'];
      const worlds = [testWorld(memory, transport), realWorld(server, transport)] as const;
      const [test, real] = worlds;
      for (const world of worlds) {
        for (const user of USERS) world.clients.push(world.client(user));
        for (const [user, client] of world.clients.entries()) {
          for (const id of rooms) world.attached.set(`${user} ${id}`, client.room(id, { limit: 5 }).attach());
          await client.connect();
        }
      }
      const done: string[] = [];
      for (const { what, run } of steps(roll, rooms, count)) {
        done.push(what);
        const [first, second] = [await run(test), await run(real)];
        expect(second, done.slice(-5).join(', ')).toEqual(first);
        // What is compared is where both come to rest: whatever is attached is live again, and has all. Who joins again before a send is stored
        // is live without it, in both; who left then would have it in the one and not in the other.
        const atRest = () =>
          test.clients.every(client =>
            rooms.every(id => {
              const { state, seq } = client.room(id).status.get();
              return state === 'detached' || (state === 'live' && seq === memory.log(id).length);
            }),
          );
        await vi.waitUntil(atRest, patience);
        await vi
          .waitUntil(() => JSON.stringify(seen(real, rooms)) === JSON.stringify(seen(test, rooms)), patience)
          .catch(() => expect(seen(real, rooms), done.slice(-5).join(', ')).toEqual(seen(test, rooms)));
      }
      for (const id of rooms) {
        const shape = (e: { seq: number; author: string; tag: string; data: unknown }) => [
          e.seq,
          e.author,
          e.tag,
          e.data,
        ];
        expect((await server.log(id)).map(shape)).toEqual(memory.log(id).map(shape));
      }
      await Promise.all(real.clients.map(client => client.close()));
    },
  );
});
