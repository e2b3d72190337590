import { type Client, createClient, type TransportName } from 'roomlog';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Cluster } from './cluster.ts';
import { eventually } from './home.ts';

// A client whose network carries no WebSocket, in a real cluster: its load balancer leads what the client says to every node by turns,
// and one of them holds its stream (SESS-9, PRES-15).

let cluster: Cluster;
const clients: Client[] = [];

beforeAll(async () => {
  cluster = await Cluster.start();
}, 120_000);
afterAll(async () => {
  await Promise.all(clients.map(client => client.close()));
  await cluster?.stop();
});

/** What a client said by its session: how it was answered, and by whom. */
const answered: { status: number; node: string | null }[] = [];

function open(user: string, transport: TransportName) {
  const client = createClient({
    url: cluster.url,
    transports: [transport],
    WebSocket,
    token: () => cluster.token(user),
    fetch: async (...request) => {
      const answer = await fetch(...request);
      if (String(request[0]).includes('/v1/connections/'))
        answered.push({ status: answer.status, node: answer.headers.get('roomlog-node') });
      return answer;
    },
  });
  clients.push(client);
  const room = client.room('chat:stream');
  room.attach();
  room.presence.others.subscribe(() => {});
  room.typing.who.subscribe(() => {});
  return room;
}

test('who is on a stream types and changes what they show, and none of it is refused', async () => {
  const ann = open('ann', 'sse');
  const bob = open('bob', 'websocket');
  const shown = async () => bob.presence.others.get().map(({ user, data }) => [user, data]);
  const typing = async () => bob.typing.who.get();
  for (let n = 0; n < 5; n++) {
    ann.presence.set({ n });
    await eventually(shown).toEqual([['ann', { n }]]);
    ann.typing.keystroke();
    await eventually(typing).toEqual(['ann']);
    await ann.messages.send({ text: `said ${n}` });
    await eventually(typing).toEqual([]);
  }
  expect(answered.filter(({ status }) => status >= 300)).toEqual([]);
  expect(new Set(answered.map(({ node }) => node))).toEqual(new Set(cluster.nodes.keys()));
});
