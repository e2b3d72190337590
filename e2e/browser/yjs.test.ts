import { type Client, createClient, type TransportName } from 'roomlog';
import { openDoc, type RoomDoc } from 'roomlog/yjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { eventually } from './home.ts';
import { Server } from './server.ts';

// DOC-1 to DOC-9 from the side of the client, against the real server: three who write at once, over a WebSocket and a stream, through a kill.

const ROOM = 'pad:yjs';
let server: Server;
const clients: Client[] = [];
const docs: RoomDoc[] = [];

beforeAll(async () => {
  server = await Server.start();
});

afterAll(async () => {
  for (const doc of docs) doc.destroy();
  await Promise.all(clients.map(client => client.close()));
  await server?.stop();
});

async function tokenOf(user: string): Promise<string> {
  return (await (await fetch(`${server.url}/v1/dev/token?user=${user}`)).json()).token;
}

async function open(user: string, transport: TransportName): Promise<RoomDoc> {
  const transports = [transport];
  const client = createClient({ url: server.url, token: await tokenOf(user), transports, WebSocket });
  const doc = openDoc(client.room(ROOM));
  clients.push(client);
  docs.push(doc);
  return doc;
}

const textOf = (doc: RoomDoc) => doc.ydoc.getText('t');
const states = () => docs.map(doc => doc.status.get());

/** Waits until everybody says that all is saved, and has the same text; gives it. */
async function agreed(holds: (text: string) => boolean): Promise<string> {
  await eventually(async () => {
    const texts = new Set(docs.map(doc => textOf(doc).toString()));
    return states().every(state => state === 'saved') && texts.size === 1 && holds([...texts][0] as string);
  }).toBe(true);
  return textOf(docs[0] as RoomDoc).toString();
}

test('three who write one text, through a kill -9 and the deletion of the room', async () => {
  const [ann, ben, cy] = [
    await open('ann', 'websocket'),
    await open('ben', 'websocket'),
    await open('cy', 'sse'),
  ];
  await agreed(text => text === '');
  ann.awareness.setLocalStateField('user', { name: 'Ann' });
  for (let i = 0; i < 10; i++) for (const doc of docs) textOf(doc).insert(i, '.');
  await agreed(text => text === '.'.repeat(30));
  await eventually(async () => ben.awareness.getStates().get(ann.ydoc.clientID)).toEqual({
    user: { name: 'Ann' },
  });
  // Larger than a frame takes: it is posted.
  textOf(cy).insert(0, 'x'.repeat(1_500_000));
  await agreed(text => text.length === 1_500_030);
  textOf(ben).delete(0, 1_500_000);
  await agreed(text => text === '.'.repeat(30));

  await server.kill();
  await eventually(async () => states()).toEqual(['offline', 'offline', 'offline']);
  for (const [i, doc] of docs.entries()) textOf(doc).insert(0, `<offline ${i}>`);
  await server.restart();
  for (const client of clients) client.retryNow();
  const text = await agreed(text => (text.match(/<offline \d>/g) ?? []).length === 3);
  await open('dan', 'websocket'); // who comes later has the same, and adds nothing
  expect(await agreed(() => true)).toBe(text);

  const headers = { Authorization: `Bearer ${await tokenOf('ann')}` };
  const room = `${server.url}/v1/rooms/${ROOM}`;
  expect((await fetch(room, { method: 'DELETE', headers })).status).toBe(200);
  await eventually(async () => states()).toEqual(['replaced', 'replaced', 'replaced', 'replaced']);
  expect(textOf(ann).toString()).toBe(text);
  expect((await (await fetch(`${room}/events?after=0`, { headers })).json()).events).toEqual([]);
});
