// Editors of one document, open while the database of its servers is put back to an older state, and then while its room is deleted: y-websocket and
// Hocuspocus as they come from npm, and roomlog/yjs, for restored_test.go. Arguments: a token that may do everything, and the servers, of which each
// editor has another where there are several. Says "backup", "away" (the database, and with it a server that is alone) and "restore" where that is to
// happen, and goes on at the line that answers. Exits 0 when all is well.
import { createInterface } from 'node:readline';
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { createClient } from '../../client/dist/index.js';
import { openDoc } from '../../client/dist/yjs/index.js';

const [token, ...hosts] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ROOM = 'pad:restored';
const backoff = { minMs: 50, maxMs: 300 };
const headers = { Authorization: `Bearer ${token}` };

async function until(what, holds) {
  for (const end = Date.now() + 30_000; !holds(); ) {
    if (Date.now() > end) throw new Error(`never: ${what()}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

async function ask(order) {
  console.log(order);
  await lines.next();
}

const hostOf = n => hosts[n % hosts.length];

function yWebsocket(host) {
  const ydoc = new Y.Doc();
  const provider = new WebsocketProvider(`ws://${host}/v1/yjs`, ROOM, ydoc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
    maxBackoffTime: 300,
    protocols: ['roomlog.yjs', `token.${token}`],
  });
  return { name: 'y', ydoc, isSaved: () => provider.synced, close: () => provider.destroy() };
}

function hocuspocus(host) {
  const ydoc = new Y.Doc();
  const url = `ws://${host}/v1/hocuspocus`;
  const delays = { delay: 100, minDelay: 50, maxDelay: 300 };
  const websocketProvider = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket, ...delays });
  const provider = new HocuspocusProvider({ websocketProvider, name: ROOM, document: ydoc, token });
  provider.attach();
  const close = () => {
    provider.destroy();
    websocketProvider.destroy();
  };
  return { name: 'h', ydoc, isSaved: () => provider.isSynced && !provider.hasUnsyncedChanges, close };
}

function roomlog(name, host) {
  const client = createClient({ url: `http://${host}`, token, WebSocket, backoff });
  client.connect().catch(() => {});
  const doc = openDoc(client.room(ROOM));
  return { name, ydoc: doc.ydoc, doc, isSaved: () => doc.status.get() === 'saved' };
}

const textOf = ({ ydoc }) => ydoc.getText('t').toString();

/** What each server has as the text. */
const stored = () => Promise.all(hosts.map(storedAt));

async function storedAt(host) {
  const answer = await fetch(`http://${host}/v1/rooms/${ROOM}/docs/main`, { headers });
  if (!answer.ok) throw new Error(`the document is answered by ${answer.status}`);
  const ydoc = new Y.Doc();
  Y.applyUpdate(ydoc, new Uint8Array(await answer.arrayBuffer()));
  return textOf({ ydoc });
}

const editors = [yWebsocket(hostOf(0)), hocuspocus(hostOf(1)), roomlog('r', hostOf(2))];
const ours = editors[2];
const written = [];

/** Each editor writes texts of which there is one only. */
function write(when) {
  for (const { name, ydoc } of editors)
    for (let i = 0; i < 5; i++) {
      written.push(`[${when} ${name}${i}😀]`);
      ydoc.getText('t').insert(i % 2 ? 0 : ydoc.getText('t').length, written.at(-1));
    }
}

/** Everybody has every text, once, and so has each server. */
async function settled(when) {
  const length = written.join('').length;
  await until(
    () =>
      `${when}: all have all (${length}) and it is saved: ${editors.map(e => [textOf(e).length, e.isSaved()])}`,
    () => editors.every(e => textOf(e).length === length && textOf(e) === textOf(ours) && e.isSaved()),
  );
  const text = textOf(ours);
  for (const [n, other] of (await stored()).entries())
    if (other !== text)
      throw new Error(`${when}: server ${n} of ${hosts.length} has another text:\n${other}\n${text}`);
  for (const each of written)
    if (text.split(each).length !== 2)
      throw new Error(`${when}: ${each} is there ${text.split(each).length - 1} times:\n${text}`);
}

await until(
  () => 'all are in sync',
  () => editors.every(editor => editor.isSaved()),
);
write('before');
await settled('before the backup');
const { id } = ours.doc;
await ask('backup');
write('lost');
await settled('before the restore');
await ask('away');
if (hosts.length === 1)
  await until(
    () => 'the server is gone',
    () => ours.doc.status.get() === 'offline',
  );
write('offline');
if (ours.isSaved()) throw new Error('what nobody stores is said to be saved');
await ask('restore');
await settled('after the restore');
if (ours.doc.id !== id) throw new Error(`the document was ${id} and is ${ours.doc.id}`);
write('after');
await settled('in the end');

// The room is deleted, and begun anew by somebody else, while ours are open. The others cannot tell: they would push what they have.
for (const { close } of editors.splice(0, 2)) close();
const old = textOf(ours);
const watcher = roomlog('w', hostOf(1));
await until(
  () => 'another has the old one',
  () => watcher.isSaved() && textOf(watcher) === old,
);
const answer = await fetch(`http://${hostOf(0)}/v1/rooms/${ROOM}`, { method: 'DELETE', headers });
if (!answer.ok) throw new Error(`the room is not deleted: ${answer.status}`);
const says = () => [ours, watcher].map(({ doc }) => doc.status.get());
await until(
  () => `both say that it is replaced: ${says()}`,
  () => says().every(state => state === 'replaced'),
);
ours.ydoc.getText('t').insert(0, 'written into the old one ');
const fresh = roomlog('n', hostOf(0));
await until(
  () => 'the new one is open',
  () => fresh.isSaved(),
);
if (textOf(fresh) !== '') throw new Error(`the new document begins with ${textOf(fresh)}`);
fresh.ydoc.getText('t').insert(0, 'new');
await until(
  () => `the new one is saved: ${fresh.doc.status.get()}`,
  () => fresh.doc.id !== undefined && fresh.isSaved(),
);
watcher.ydoc.getText('t').insert(0, 'and into this ');
fresh.ydoc.getText('t').insert(3, ' and more');
await until(
  () => `what was written next is saved: ${fresh.doc.status.get()}`,
  () => fresh.isSaved(),
);
const now = await stored();
if (now.some(text => text !== 'new and more')) throw new Error(`the new document has ${now}`);
if (fresh.doc.id === id || textOf(fresh) !== 'new and more')
  throw new Error(`the new one: ${fresh.doc.id} ${textOf(fresh)}`);
for (const { doc } of [ours, watcher]) {
  const kept = new Y.Doc();
  Y.applyUpdate(kept, doc.replaced.update);
  if (doc.status.get() !== 'replaced' || textOf({ ydoc: kept }) !== old)
    throw new Error(`${doc.status.get()}: it keeps ${textOf({ ydoc: kept })}`);
}
process.exit(0);
