// The other side of the differential test: npm yjs, asked by the Go test over stdin and stdout, a JSON object a line.
// {"make": seed} makes a case: random documents, what they sent, and what Yjs makes of it.
// {"pasted": seed} makes the updates of one document into which long texts are pasted: 5 MiB in all, about.
// {"same": {updates, docs}} says of each of the docs, lists of updates, where it is another document than that of the updates.
// {"check": {...}} loads what we made of the same updates into documents and answers with what is wrong, or nothing.
import { createInterface } from 'node:readline';
import * as Y from 'yjs';

const pack = bytes => Buffer.from(bytes).toString('base64');
const unpack = text => new Uint8Array(Buffer.from(text, 'base64'));

/** Mulberry32: small, and the same everywhere. */
function random(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = n => Math.floor(next() * n);
  return { below, chance: p => next() < p, pick: list => list[below(list.length)] };
}

const words = ['a', 'xy', 'hello ', '😀', 'é', '漢字', '👩‍👧', 'z😀z', '\n', '', 'a longer piece of text, '];
const keys = ['k', 'title', 'ключ', '😀', ''];
const marks = [
  { bold: true },
  { bold: null },
  { color: 'red' },
  { link: { href: 'x', n: [1, null] } },
  { color: null },
];

function plain(r, depth = 0) {
  const kinds = [
    () => r.below(100),
    () => -r.below(1e9),
    () => r.below(1e15) + 0.5,
    () => 2 ** 40 + r.below(1000),
    () => 0.25,
    () => BigInt(r.below(1e6)),
    () => r.pick(words),
    () => true,
    () => false,
    () => null,
    () => undefined,
    () => new Uint8Array([1, 2, r.below(256)]),
    () => Array.from({ length: r.below(3) }, () => plain(r, depth + 1)),
    () => Object.fromEntries(Array.from({ length: r.below(3) }, () => [r.pick(keys), plain(r, depth + 1)])),
  ];
  return kinds[r.below(depth > 2 ? 12 : 14)]();
}

/** An array takes these only within another value. */
const listed = v => (v === undefined || typeof v === 'bigint' ? [v] : v);

function value(r) {
  switch (r.below(12)) {
    case 0:
      return new Y.Map([['in', plain(r)]]);
    case 1:
      return Y.Array.from([listed(plain(r)), r.below(9)]);
    case 2:
      return new Y.Text(r.pick(words) + r.pick(words));
    case 3:
      return new Y.XmlElement('p');
    case 4:
      return new Y.Doc({
        guid: `sub-${r.below(1000)}`,
        autoLoad: r.chance(0.5),
        meta: r.chance(0.3) ? { of: 1 } : null,
      });
    case 5:
      return new Uint8Array([r.below(256)]);
    default:
      return plain(r);
  }
}

/**
 * Where documents overlap, texts are not cut within a pair: Yjs may cut where nothing comes to be, when it looks for
 * the ends of a format, and says U+FFFD to some and the character to others.
 */
function cut(text, at) {
  if (!mode.startsWith('overlaps')) return at;
  const units = text.toDelta().flatMap(op => (typeof op.insert === 'string' ? op.insert.split('') : ['']));
  return /[\ud800-\udbff]/.test(units[at - 1]) && /[\udc00-\udfff]/.test(units[at]) ? at + 1 : at;
}

function editText(r, text) {
  const at = cut(text, r.below(text.length + 1));
  const rest = text.length - at;
  const span = n => cut(text, at + r.below(n + 1)) - at;
  const kind = r.below(10);
  if (kind < 5 || text.length === 0)
    text.insert(at, r.pick(words), r.chance(0.15) ? r.pick(marks) : undefined);
  else if (kind < 7) text.delete(at, span(Math.min(rest, 6)));
  else if (kind < 9) text.format(at, span(rest), r.pick(marks));
  else text.insertEmbed(at, r.chance(0.5) ? { image: 'x', n: r.below(9) } : new Y.Map([['e', 1]]));
}

function editList(r, list) {
  const at = r.below(list.length + 1);
  if (r.chance(0.65) || list.length === 0)
    list.insert(
      at,
      Array.from({ length: 1 + r.below(3) }, () => listed(value(r))),
    );
  else list.delete(at, r.below(Math.min(list.length - at, 3) + 1));
}

function editMap(r, map) {
  const key = r.pick(keys);
  if (r.chance(0.8)) map.set(key, value(r));
  else map.delete(key);
}

function editXml(r, xml) {
  const at = r.below(xml.length + 1);
  if (r.chance(0.3) && xml instanceof Y.XmlElement) xml.setAttribute(r.pick(['id', 'class']), r.pick(words));
  else if (r.chance(0.6) || xml.length === 0) {
    const node = r.pick([
      () => new Y.XmlElement(r.pick(['p', 'div'])),
      () => new Y.XmlText(r.pick(words)),
      () => new Y.XmlHook('hook'),
    ])();
    xml.insert(at, [node]);
  } else xml.delete(at, Math.min(1, xml.length - at));
}

/** The types within a type, itself first. */
function within(type, found = []) {
  found.push(type);
  if (type instanceof Y.Map || type instanceof Y.XmlHook) {
    for (const v of type.values()) if (v instanceof Y.AbstractType) within(v, found);
  } else if (type instanceof Y.Array || type instanceof Y.XmlFragment) {
    for (const v of type.toArray()) if (v instanceof Y.AbstractType) within(v, found);
  }
  return found;
}

const roots = doc => [
  doc.getText('text'),
  doc.getMap('map'),
  doc.getArray('array'),
  doc.getXmlFragment('xml'),
  doc.getText('second'),
];

function edit(r, doc) {
  const type = r.chance(0.5) ? r.pick(roots(doc)) : r.pick(roots(doc).flatMap(root => within(root)));
  if (type instanceof Y.Text) editText(r, type);
  else if (type instanceof Y.Array) editList(r, type);
  else if (type instanceof Y.XmlHook || type instanceof Y.Map) editMap(r, type);
  else editXml(r, type);
}

function peer(r, client, sent) {
  const doc = new Y.Doc({ gc: r.chance(0.85), guid: String(client) });
  doc.clientID = client;
  doc.on('update', (update, origin) => origin !== 'remote' && sent.push(update));
  const undo = r.chance(0.3) ? new Y.UndoManager(roots(doc), { captureTimeout: 0 }) : null;
  return { doc, undo, seen: 0 };
}

/** What a document shows, whatever way it was made: texts as deltas whose neighbours are joined. */
function shown(v) {
  if (v instanceof Y.Doc) return { doc: v.guid, meta: v.meta, auto: v.autoLoad };
  if (v instanceof Y.Text)
    return { text: joined(v.toDelta()), kind: v.constructor.name, with: shown(v.getAttributes()) };
  if (v instanceof Y.XmlElement)
    return { node: v.nodeName, with: shown(v.getAttributes()), in: v.toArray().map(shown) };
  if (v instanceof Y.XmlHook) return { hook: v.hookName, in: entries(v) };
  if (v instanceof Y.XmlFragment || v instanceof Y.Array) return { list: v.toArray().map(shown) };
  if (v instanceof Y.Map) return { map: entries(v) };
  if (v instanceof Uint8Array) return { bytes: [...v] };
  if (typeof v === 'bigint') return { big: String(v) };
  if (v === undefined) return { undefined: true };
  if (Array.isArray(v)) return v.map(shown);
  if (v !== null && typeof v === 'object')
    return Object.keys(v)
      .sort()
      .map(k => [k, shown(v[k])]);
  return v;
}

const entries = map => [...map.keys()].sort().map(k => [k, shown(map.get(k))]);

function joined(delta) {
  const out = [];
  for (const { insert, attributes } of delta) {
    const op = { insert: shown(insert), with: JSON.stringify(shown(attributes ?? {})) };
    const last = out.at(-1);
    if (typeof op.insert === 'string' && last?.with === op.with && typeof last.insert === 'string')
      last.insert += op.insert;
    else out.push(op);
  }
  return out;
}

const view = doc =>
  JSON.stringify([roots(doc).map(shown), [...Y.decodeStateVector(Y.encodeStateVector(doc))].sort()]);

/**
 * A document that is what its updates say, in whatever order they come. Else Yjs deletes formats that have no effect
 * at the moment, and have one when more comes.
 */
function pure() {
  const doc = new Y.Doc({ guid: 'loaded' });
  doc.on('beforeObserverCalls', transaction =>
    Object.defineProperty(transaction, '_needFormattingCleanup', { get: () => false, set() {} }),
  );
  return doc;
}

/** A document with these updates more. */
function load(updates, into = pure()) {
  for (const update of updates) Y.applyUpdate(into, update, 'remote');
  // Yjs may leave waiting what no longer has to: it is given its own state once more.
  for (let size = -1; into.store.pendingStructs && size !== into.store.pendingStructs.update.length; ) {
    size = into.store.pendingStructs.update.length;
    Y.applyUpdate(into, Y.encodeStateAsUpdate(into), 'remote');
  }
  return into;
}

function shuffle(r, list) {
  for (let i = list.length - 1; i > 0; i--) {
    const j = r.below(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

/** Merged. Of one update Yjs would give that one as it is; its encoder also sets a bit that its decoder drops. */
const normal = (...updates) => Y.mergeUpdates([...updates, new Uint8Array([0, 0])]);

const modes = ['ordered', 'shuffled', 'repeated', 'gaps', 'overlaps', 'overlaps and gaps'];
let now;
let mode = '';

function make(seed) {
  const r = random(seed);
  mode = modes[seed % modes.length];
  const sent = [];
  const clients = new Set(
    Array.from({ length: 1 + r.below(4) }, () => 1 + r.below(r.chance(0.2) ? 50 : 2 ** 32 - 1)),
  );
  const peers = [...clients].map(client => peer(r, client, sent));
  const states = [];
  for (let steps = 5 + r.below(28); steps > 0; steps--) {
    const p = r.pick(peers);
    if (r.chance(0.3)) {
      load(r.chance(0.8) ? sent.slice(p.seen) : shuffle(r, sent.slice(p.seen)), p.doc);
      p.seen = sent.length;
    }
    if (p.undo && r.chance(0.2)) r.chance(0.6) ? p.undo.undo() : p.undo.redo();
    else if (r.chance(0.2))
      p.doc.transact(() => Array.from({ length: 1 + r.below(6) }, () => edit(r, p.doc)));
    else edit(r, p.doc);
    if (r.chance(0.1))
      states.push(
        Y.encodeStateAsUpdate(p.doc, r.chance(0.5) ? undefined : Y.encodeStateVector(r.pick(peers).doc)),
      );
  }
  let updates = sent.slice();
  if (mode === 'repeated') updates.push(...updates.filter(() => r.chance(0.4)));
  if (mode.startsWith('overlaps')) updates.push(...states);
  if (mode !== 'ordered') shuffle(r, updates);
  const held = [];
  if (mode.endsWith('gaps')) updates = updates.filter(u => !(r.chance(0.3) && held.push(u)));
  if (updates.length === 0) updates.push(new Uint8Array([0, 0]));
  const half = r.below(updates.length + 1);
  const vector = Y.encodeStateVector(load(updates.slice(0, half)));
  const merged = normal(...updates);
  now = { updates, half, held, vector };
  return {
    mode,
    updates: updates.map(pack),
    half,
    vector: pack(vector),
    merged: pack(merged),
    mergedVector: pack(Y.encodeStateVectorFromUpdate(merged)),
    mergedDiff: pack(normal(Y.diffUpdate(merged, vector))),
  };
}

/** [client, clock, end] of all units an update has. */
const units = update =>
  Y.decodeUpdate(update)
    .structs.filter(s => !(s instanceof Y.Skip))
    .map(s => [s.id.client, s.id.clock, s.id.clock + s.length]);

function check({ merged, mergedVector, diff, compact, missing, part, served }) {
  const { updates, half, held, vector } = now;
  const all = load(updates);
  const wanted = view(all);
  const faults = [];
  const same = (what, doc, to = wanted) =>
    view(doc) === to || faults.push(`${what}\n got ${view(doc)}\nwant ${to}`);
  const equal = (what, bytes, to) =>
    Buffer.compare(unpack(bytes), to) === 0 || faults.push(`${what}\n got ${bytes}\nwant ${pack(to)}`);
  same('merged', load([unpack(merged)]));
  same('compact', load([unpack(compact)]));
  same('served', load([unpack(served)]));
  equal('state vector', mergedVector, Y.encodeStateVectorFromUpdate(unpack(merged)));
  equal('diff', diff, normal(Y.diffUpdate(unpack(merged), vector)));
  const before = updates.slice(0, half);
  same('missing', load(missing === null ? [] : [unpack(missing)], load(before)));
  same('diff to who has a part', load([unpack(diff)], load(before)));
  const known = units(unpack(part));
  for (const [client, clock, end] of missing === null ? [] : units(unpack(missing))) {
    const twice = known.find(([c, from, to]) => c === client && from < end && clock < to);
    if (twice) faults.push(`missing has ${client}:${clock}-${end}, of which ${twice} was there`);
  }
  if (held.length === 0) return { faults, full: Y.encodeStateAsUpdate(all).length };
  // What comes later finds its place in what was compacted.
  const end = view(load(held, all));
  same('later, into compact', load(held, load([unpack(compact)])), end);
  same('later, into served', load(held, load([unpack(served)])), end);
  return { faults };
}

/** Three people who type, mark and delete in one long text, as people do: runs, not random letters. */
function typed(seed) {
  const r = random(seed);
  const sent = [];
  const peers = [1, 2, 3].map(n => peer(r, n * 1000003, sent));
  for (let i = 0; i < 300; i++) {
    const p = r.pick(peers);
    load(sent.slice(p.seen), p.doc);
    const text = p.doc.getText('text');
    let at = r.below(text.length + 1);
    if (r.chance(0.25)) text.delete(at, Math.min(text.length - at, r.below(30)));
    else if (r.chance(0.1)) p.doc.getMap('map').set(r.pick(keys), new Y.Map([['x', r.below(99)]]));
    else for (const c of 'some words that are typed, '.slice(0, 3 + r.below(24))) text.insert(at++, c);
    p.seen = sent.length;
  }
  now = { updates: sent, half: 0, held: [], vector: new Uint8Array([0]) };
  return sent.map(pack);
}

/** Three people who paste long texts into one, and delete much of it. */
function pasted(seed) {
  const r = random(seed);
  const sent = [];
  const peers = [1, 2, 3].map(n => peer(r, n * 1000003, sent));
  const whole = words.filter(word => !/[\ud800-\udfff]/.test(word)); // wherever they are cut
  for (let i = 0; i < 360; i++) {
    const p = r.pick(peers);
    load(sent.slice(p.seen), p.doc);
    const text = p.doc.getText('text');
    const at = r.below(text.length + 1);
    if (r.chance(0.3)) text.delete(at, Math.min(text.length - at, r.below(20_000)));
    else text.insert(at, Array.from({ length: 500 + r.below(6_000) }, () => r.pick(whole)).join(''));
    p.seen = sent.length;
  }
  return sent.map(pack);
}

/** What goes wrong when another document takes each update, every other time one that has a part of the case. */
function take(updates) {
  const part = Y.mergeUpdates(now.updates.slice(0, now.half));
  return updates.map((update, i) => {
    const doc = load(i % 2 && now.half ? [part] : []);
    roots(doc)[0].insert(0, 'mine');
    try {
      load([unpack(update)], doc);
      roots(doc)[0].insert(2, 'x');
      view(load([Y.encodeStateAsUpdate(doc)]));
      return '';
    } catch (error) {
      return String(error?.stack ?? error);
    }
  });
}

/** Where each of the documents is not that of the updates; '' where it is. */
function same({ updates, docs }) {
  const wanted = view(load(updates.map(unpack)));
  return docs.map(parts => {
    const got = view(load((parts ?? []).map(unpack)));
    return got === wanted ? '' : ` got ${got}\nwant ${wanted}`;
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  const answer = ask.take
    ? take(ask.take)
    : ask.check
      ? check(ask.check)
      : ask.same
        ? same(ask.same)
        : ask.typed
          ? typed(ask.typed)
          : ask.pasted
            ? pasted(ask.pasted)
            : make(ask.make);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
