// Clients of Hocuspocus as they come from npm, for yjs_test.go. Arguments: the server, the proxy before it, a token of each of two users, and one
// that may only read. Says "cut", "stall" or "heal" where that is to happen to the connections through the proxy, and goes on at the line that
// answers. Exits 0 when all is well.
import { createInterface } from 'node:readline';
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider';
import { WebSocket } from 'ws';
import * as Y from 'yjs';

const [direct, proxied, ada, ben, reader] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const sockets = [];

function connect(base) {
  const socket = new HocuspocusProviderWebsocket({
    url: `${base}/v1/hocuspocus`,
    WebSocketPolyfill: WebSocket,
    delay: 50,
    minDelay: 50,
    maxDelay: 200,
  });
  sockets.push(socket);
  return socket;
}

function open(socket, token, name = 'pad:a/notes', more = {}) {
  const ydoc = new Y.Doc();
  const seen = { denied: [], closed: [], scopes: [] };
  const provider = new HocuspocusProvider({
    websocketProvider: socket,
    name,
    document: ydoc,
    token,
    onAuthenticated: ({ scope }) => seen.scopes.push(scope),
    onAuthenticationFailed: ({ reason }) => seen.denied.push(reason),
    onClose: ({ event }) => seen.closed.push(event),
    ...more,
  });
  provider.attach();
  return { ydoc, provider, seen, text: ydoc.getText('t'), awareness: provider.awareness };
}

/** Waits for a condition, looking at it again whenever an event may have changed it. */
async function until(what, holds) {
  for (const end = Date.now() + 20_000; !holds(); ) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
}

async function ask(order) {
  console.log(order);
  await lines.next();
}

function want(what, holds) {
  if (!holds) throw new Error(`not so: ${what}`);
}

const through = connect(proxied);
const a = open(through, ada);
const b = open(connect(direct), async () => ben);
const saved = ({ provider }) => provider.isSynced && !provider.hasUnsyncedChanges;
await until('both are saved', () => saved(a) && saved(b));
want('both may write', a.seen.scopes[0] === 'read-write' && b.seen.scopes[0] === 'read-write');
const name = user => ({ user: { name: user } });
a.awareness.setLocalState(name('ada'));
b.awareness.setLocalState(name('ben'));
const sees = (who, other) => who.awareness.getStates().get(other.ydoc.clientID)?.user?.name;
await until('they see each other', () => sees(a, b) === 'ben' && sees(b, a) === 'ada');

// Written at once through cuts, and while there is no connection.
for (let round = 0; round < 3; round++) {
  for (let i = 0; i < 20; i++) {
    a.text.insert(a.text.length, 'a😀');
    b.text.insert(0, 'b');
    if (i === 10) {
      await ask('cut');
      await until('the cut is felt', () => through.status !== 'connected');
    }
  }
  want('what is offline is not saved', a.provider.hasUnsyncedChanges);
  await until('all is saved', () => saved(a) && saved(b));
}
const whole = () => a.text.toString() === b.text.toString() && a.text.length === 3 * 20 * (3 + 1);
await until('the texts are equal and whole', whole);
await until('a is seen again after the cuts', () => sees(b, a) === 'ada');

// A change counts as saved when it is: not while nothing comes through to the server.
await ask('stall');
a.text.insert(0, 'A');
b.text.insert(b.text.length, 'B');
await until('what b wrote meanwhile is saved', () => saved(b));
want(
  'what the server has not got is not saved',
  a.provider.hasUnsyncedChanges && !b.text.toString().startsWith('A'),
);
await ask('heal');
await until('it is saved', () => saved(a));
await until('and is there', () => b.text.toString().startsWith('A'));

// Who may only read is told so, reads, has nothing to save until it writes, and changes nothing.
const r = open(connect(direct), reader);
await until('the reader has it all', () => r.text.toString() === b.text.toString() && saved(r));
want('the reader is told', r.seen.scopes[0] === 'readonly' && r.provider.authorizedScope === 'readonly');
const before = b.text.toString();
r.text.insert(0, 'r');
b.text.insert(0, 'z');
await until('a has what came after', () => a.text.toString() === `z${before}`);
await until('the reader has, too', () => r.text.toString().includes('z'));
want('what the reader wrote is not saved', r.provider.hasUnsyncedChanges);

// Several documents on one connection: one is closed and opened, one is refused, one is there twice; none hurts another.
const other = open(through, ada, 'pad:b');
const session = { sessionAwareness: true };
const [one, two] = [open(through, ada, 'pad:b', session), open(through, ada, 'pad:b', session)];
const stranger = open(through, 'none', 'pad:c');
other.text.insert(0, 'o');
await until('the stranger is refused', () => stranger.seen.denied[0] === 'unauthenticated');
await until('the others are saved', () => [other, one, two, a].every(saved));
await until('they have the same', () => one.text.toString() === 'o' && two.text.toString() === 'o');
one.text.insert(1, 'n');
await until(
  'two sessions of one connection',
  () => two.text.toString() === 'on' && other.text.toString() === 'on',
);
other.provider.destroy();
const again = open(through, ada, 'pad:b');
await until('it is opened again', () => saved(again) && again.text.toString() === 'on');
stranger.provider.sendStateless('nobody takes it');
a.text.insert(0, 'y');
await until('a goes on', () => saved(a) && b.text.toString().startsWith('y'));
want('nothing was closed but what was to be', a.seen.denied.length === 0);

// Somebody else's id cannot be taken, and awareness ends with its connection.
b.awareness.setLocalState(name('ben')); // y-protocols takes nobody back after a cut before they have moved
await until('a sees b after the cuts', () => sees(a, b) === 'ben');
const stolen = [];
a.awareness.on('change', () =>
  stolen.push(...[...a.awareness.getStates().values()].filter(s => s.user?.name === 'thief')),
);
const thief = open(connect(direct), ada);
await until('the thief is in sync', () => saved(thief));
await until('the thief sees whom it robs', () => sees(thief, b) === 'ben');
thief.awareness.meta.set(b.ydoc.clientID, { clock: 1e6, lastUpdated: Date.now() });
thief.awareness.states.set(b.ydoc.clientID, name('thief'));
thief.awareness.emit('update', [{ added: [], updated: [b.ydoc.clientID], removed: [] }, 'local']);
thief.awareness.setLocalState(name('ada again')); // comes after it, on the same connection
await until('what the thief said of itself is there', () => sees(a, thief) === 'ada again');
want('nobody spoke for another client', stolen.length === 0 && sees(a, b) === 'ben');
sockets[1].webSocket.terminate();
sockets[1].shouldConnect = false;
await until('the caret of who is gone is gone', () => !a.awareness.getStates().has(b.ydoc.clientID));

process.exit(0);
