// Three clients of one document, each as its users have it: y-websocket and Hocuspocus from npm, and roomlog/yjs. For yjs_test.go. Arguments: the
// server, the proxies before it (of y-websocket, Hocuspocus, roomlog/yjs), a token, and a seed. Each writes texts of which there is one only, at
// places of its choice, while its connection is cut and stalled. Says "heal" when that is to end. Exits 0 when all have the same, and the server.
import { createInterface } from 'node:readline';
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { createClient } from '../../client/dist/index.js';
import { openDoc } from '../../client/dist/yjs/index.js';

const [direct, first, second, third, token, seed] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ROOM = 'pad:three';
const EACH = 60;

/** Random numbers from 0 to 1 that a seed decides (mulberry32). */
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

async function until(what, holds) {
  for (const end = Date.now() + 30_000; !holds(); ) {
    if (Date.now() > end) throw new Error(`never: ${what()}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

function yWebsocket() {
  const ydoc = new Y.Doc();
  new WebsocketProvider(`ws://${first}/v1/yjs`, ROOM, ydoc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
    maxBackoffTime: 300,
    protocols: ['roomlog.yjs', `token.${token}`],
  });
  return { name: 'y', ydoc, isSaved: () => true };
}

function hocuspocus() {
  const ydoc = new Y.Doc();
  const websocketProvider = new HocuspocusProviderWebsocket({
    url: `ws://${second}/v1/hocuspocus`,
    WebSocketPolyfill: WebSocket,
    delay: 100,
    minDelay: 50,
    maxDelay: 300,
  });
  const provider = new HocuspocusProvider({ websocketProvider, name: ROOM, document: ydoc, token });
  provider.attach();
  return { name: 'h', ydoc, isSaved: () => provider.isSynced && !provider.hasUnsyncedChanges };
}

function roomlog() {
  const client = createClient({
    url: `http://${third}`,
    token,
    WebSocket,
    backoff: { minMs: 50, maxMs: 300 },
  });
  client.connect().catch(() => {});
  const doc = openDoc(client.room(ROOM));
  return { name: 'r', ydoc: doc.ydoc, isSaved: () => doc.status.get() === 'saved' };
}

/** Writes the texts of one client, at random times, each between two others. */
async function write({ name, ydoc }, draw) {
  const text = ydoc.getText('t');
  for (let i = 0; i < EACH; i++) {
    const gaps = [0, ...[...text.toString().matchAll(/\]/g)].map(match => match.index + 1)];
    text.insert(gaps[Math.floor(draw() * gaps.length)], `[${name}${i}😀]`);
    await new Promise(resolve => setTimeout(resolve, draw() * 150));
  }
}

const clients = [yWebsocket(), hocuspocus(), roomlog()];
await Promise.all(clients.map((client, i) => write(client, random(Number(seed) + i))));
console.log('heal');
await lines.next();
const texts = () => clients.map(({ ydoc }) => ydoc.getText('t').toString());
const length = clients
  .flatMap(({ name }) => Array.from({ length: EACH }, (_, i) => `[${name}${i}😀]`.length))
  .reduce((sum, n) => sum + n);
await until(
  () => `all have all (${length}): ${texts().map(text => text.length)}`,
  () => texts().every(text => text.length === length && text === texts()[0]),
);
await until(
  () => `all say that it is saved: ${clients.map(client => client.isSaved())}`,
  () => clients.every(client => client.isSaved()),
);
const answer = await fetch(`http://${direct}/v1/rooms/${ROOM}/docs/main`, {
  headers: { Authorization: `Bearer ${token}` },
});
const stored = new Y.Doc();
Y.applyUpdate(stored, new Uint8Array(await answer.arrayBuffer()));
const text = stored.getText('t').toString();
if (text !== texts()[0]) throw new Error(`the server has another text:\n${text}\n${texts()[0]}`);
for (const { name } of clients)
  for (let i = 0; i < EACH; i++) {
    const times = text.split(`[${name}${i}😀]`).length - 1;
    if (times !== 1) throw new Error(`[${name}${i}😀] is there ${times} times:\n${text}`);
  }
process.exit(0);
