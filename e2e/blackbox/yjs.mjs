// Clients of y-websocket as they come from npm, for yjs_test.go. Arguments: the server, the proxy before it, a token of each of two users, and one
// that may only read. Says "cut" where the connections through the proxy are to be cut, and goes on at the line that answers. Exits 0 when all is well.
import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';

const [direct, proxied, ada, ben, reader] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const all = [];

function open(base, token) {
  const ydoc = new Y.Doc();
  const provider = new WebsocketProvider(`${base}/v1/yjs`, 'pad:a/notes', ydoc, {
    WebSocketPolyfill: WebSocket,
    disableBc: true,
    protocols: ['roomlog.yjs', `token.${token}`],
  });
  all.push(provider);
  return { ydoc, provider, text: ydoc.getText('t'), awareness: provider.awareness };
}

/** Waits for a condition, looking at it again whenever an event may have changed it. */
async function until(what, holds) {
  for (const end = Date.now() + 20_000; !holds(); ) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

async function cut() {
  console.log('cut');
  await lines.next();
  await until('the cut is felt', () => !a.provider.wsconnected);
}

const a = open(proxied, ada);
const b = open(direct, ben);
await until('both are in sync', () => a.provider.synced && b.provider.synced);
const name = user => ({ user: { name: user } });
a.awareness.setLocalState(name('ada'));
b.awareness.setLocalState(name('ben'));
const sees = (who, other) => who.awareness.getStates().get(other.ydoc.clientID)?.user?.name;
await until('they see each other', () => sees(a, b) === 'ben' && sees(b, a) === 'ada');

for (let round = 0; round < 3; round++) {
  for (let i = 0; i < 20; i++) {
    a.text.insert(a.text.length, 'a😀');
    b.text.insert(0, 'b');
    if (i === 10) await cut();
  }
  await until('a is back', () => a.provider.synced);
}
const whole = () => a.text.toString() === b.text.toString() && a.text.length === 3 * 20 * (3 + 1);
await until('the texts are equal and whole', whole);
await until('a is seen again after the cuts', () => sees(b, a) === 'ada');

// Who may only read reads, is told, and changes nothing.
const warned = [];
console.warn = text => warned.push(text);
const r = open(direct, reader);
await until('the reader has it all', () => r.text.toString() === b.text.toString());
const before = b.text.toString();
r.text.insert(0, 'r');
await until('the reader is told', () => warned.length > 0);
b.text.insert(0, 'z');
await until('a has what came after', () => a.text.toString() === `z${before}`);

// Somebody else's id cannot be taken, and awareness ends with its connection.
const stolen = [];
a.awareness.on('change', () =>
  stolen.push(...[...a.awareness.getStates().values()].filter(s => s.user?.name === 'thief')),
);
const thief = open(direct, ada);
await until('the thief is in sync', () => thief.provider.synced);
await until('the thief sees whom it robs', () => sees(thief, b) === 'ben');
thief.awareness.meta.set(b.ydoc.clientID, { clock: 1e6, lastUpdated: Date.now() });
thief.awareness.states.set(b.ydoc.clientID, name('thief'));
thief.awareness.emit('update', [{ added: [], updated: [b.ydoc.clientID], removed: [] }, 'local']);
thief.awareness.setLocalState(name('ada again')); // comes after it, on the same connection
await until('what the thief said of itself is there', () => sees(a, thief) === 'ada again');
b.provider.shouldConnect = false;
b.provider.ws.terminate();
await until('the caret of who is gone is gone', () => !a.awareness.getStates().has(b.ydoc.clientID));

if (stolen.length > 0) throw new Error('somebody spoke for another client');

// No token, no entry; and no second try.
const stranger = open(direct, 'none');
const closed = await new Promise(resolve => stranger.provider.once('closed', resolve));
if (closed.code !== 4401) throw new Error(`a stranger was closed with ${closed.code}`);

for (const provider of all) provider.destroy();
process.exit(0);
