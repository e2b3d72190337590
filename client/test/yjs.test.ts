import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as Y from 'yjs';
import type { Outbox } from '../src/client/outbox.js';
import { createTestClock, createTestServer, type TestClock, type TestServer } from '../src/testing/index.js';
import { openDoc, type RoomDoc } from '../src/yjs/index.js';
import { docStorage, TestDocs } from './fake/docs.js';

const ROOM = 'pad:a';
const textOf = (doc: RoomDoc) => doc.ydoc.getText('t').toString();
const write = (doc: RoomDoc, text: string) => doc.ydoc.getText('t').insert(0, text);

describe('documents', () => {
  let clock: TestClock;
  let server: TestServer;
  let docs: TestDocs;
  const opened: RoomDoc[] = [];

  beforeEach(async () => {
    await Promise.all([
      import('../src/client/kept.js'),
      import('../src/client/refresh.js'),
      import('../src/client/device.js'),
      import('../src/client/sides/part.js'),
      import('../src/transport/fallback.js'),
    ]);
    clock = createTestClock();
    server = createTestServer();
    docs = new TestDocs(server);
  });
  afterEach(async () => {
    for (const doc of opened.splice(0)) doc.destroy();
    await server.close();
    await clock.advance(20);
    clock.restore();
  });

  const clientOf = (user: string, storage?: ReturnType<typeof docStorage>) =>
    server.client({ user, fetch: docs.fetch, ...(storage && { storage: storage() }) });
  const open = (client: ReturnType<typeof clientOf>) => {
    const doc = openDoc(client.room(ROOM));
    opened.push(doc);
    return doc;
  };

  it('two who write at once have the same text; saved is said when it is stored (DOC-1, DOC-6)', async () => {
    const [ann, ben] = [open(clientOf('ann')), open(clientOf('ben'))];
    expect(ann.status.get()).toBe('loading');
    await clock.advance(100);
    expect([ann.status.get(), ann.id]).toEqual(['saved', undefined]);
    server.network.delay(50);
    write(ann, 'one ');
    write(ben, 'two ');
    expect(ann.status.get()).toBe('saving');
    await clock.advance(1_000);
    expect([ann.status.get(), ben.status.get()]).toEqual(['saved', 'saved']);
    expect(textOf(ann)).toBe(textOf(ben));
    expect(docs.text(ROOM)).toBe(textOf(ann));
    expect(textOf(ann)).toHaveLength(8);
    expect(ann.id).toBe(docs.of(ROOM)?.id);
    // What follows one another in a moment goes out as one.
    const before = server.log(ROOM).length;
    for (const char of 'abc') write(ann, char);
    await clock.advance(1_000);
    expect(server.log(ROOM)).toHaveLength(before + 1);
    // Who comes later, and only reads, sends nothing: deletions are compared, too.
    ann.ydoc.getText('t').delete(0, 2);
    await clock.advance(1_000);
    const cy = open(clientOf('cy'));
    await clock.advance(1_000);
    expect([textOf(cy), cy.status.get()]).toEqual([textOf(ann), 'saved']);
    expect(server.log(ROOM)).toHaveLength(before + 2);
  });

  it('what is written offline is kept through a reload, and sent as one; leaving would lose nothing unasked', async () => {
    const storage = docStorage();
    const client = clientOf('ann', storage);
    const ann = open(client);
    await clock.advance(100);
    write(ann, 'kept ');
    await clock.advance(1_000);
    server.network.offline();
    await clock.advance(20_000);
    expect(ann.status.get()).toBe('offline');
    expect(client.status.get().pendingSends).toBe(0);
    for (const word of ['a ', 'b ', 'c ']) write(ann, word);
    expect(client.status.get().pendingSends).toBe(1);
    await client.close();
    const stored = server.log(ROOM).length;
    // The page is gone without a word: another one begins, still offline.
    const again = clientOf('ann', storage);
    const later = open(again);
    await clock.advance(100);
    expect([textOf(later), later.status.get()]).toEqual(['c b a kept ', 'offline']);
    server.network.restore();
    again.retryNow();
    await clock.advance(30_000);
    expect([docs.text(ROOM), later.status.get()]).toEqual(['c b a kept ', 'saved']);
    expect(server.log(ROOM)).toHaveLength(stored + 1);
  });

  it('what a restored store has lost comes back, once (DOC-9)', async () => {
    const [ann, ben] = [open(clientOf('ann')), open(clientOf('ben'))];
    await clock.advance(100);
    for (const word of ['first ', 'second ', 'third ']) {
      write(ann, word);
      await clock.advance(1_000);
    }
    const { id } = ann;
    server.reset(ROOM, { lost: 2 });
    await clock.advance(5_000);
    expect(docs.text(ROOM)).toBe('third second first ');
    for (const doc of [ann, ben])
      expect([textOf(doc), doc.id, doc.status.get()]).toEqual(['third second first ', id, 'saved']);
  });

  it('who was away reads what the pages have left out, in one piece (DOC-12)', async () => {
    const ben = open(clientOf('ben'));
    const other = new Y.Doc();
    other.on('update', (update: Uint8Array) => {
      const data = { doc: 'main', update: Buffer.from(update).toString('base64') };
      server.append(ROOM, { author: 'ann', type: 'doc', data });
    });
    await clock.advance(100);
    other.getText('t').insert(0, 'a');
    await clock.advance(1_000);
    expect([textOf(ben), ben.status.get()]).toEqual(['a', 'saved']);
    server.network.offline();
    for (const char of 'bcd') other.getText('t').insert(0, char);
    await clock.advance(1_000);
    const asked = docs.asked.length;
    server.network.restore();
    await clock.advance(30_000);
    expect([textOf(ben), ben.status.get()]).toEqual(['dcba', 'saved']);
    expect(docs.asked).toHaveLength(asked + 1);
    // What is live comes as events.
    other.getText('t').insert(0, 'e');
    await clock.advance(1_000);
    expect([textOf(ben), ben.status.get()]).toEqual(['edcba', 'saved']);
    expect(docs.asked).toHaveLength(asked + 1);
  });

  it('into a room that began anew nothing is pushed; the old copy is told of until it is discarded (DOC-9)', async () => {
    const storage = docStorage();
    const client = clientOf('ann', storage);
    const ann = open(client);
    const watcher = open(clientOf('dan')); // who only looks has a copy of the old one too
    await clock.advance(100);
    write(ann, 'old ');
    await clock.advance(1_000);
    expect([textOf(watcher), watcher.id]).toEqual(['old ', ann.id]);
    server.network.offline();
    await clock.advance(20_000);
    write(ann, 'unsent ');
    server.delete(ROOM);
    server.network.restore();
    client.retryNow();
    await clock.advance(30_000);
    expect([ann.status.get(), watcher.status.get()]).toEqual(['replaced', 'replaced']);
    expect(server.log(ROOM)).toEqual([]);
    // Another begins the new one; after a reload it is still told.
    const ben = open(clientOf('ben'));
    await clock.advance(100);
    write(ben, 'new');
    await clock.advance(1_000);
    await client.close();
    const after = clientOf('ann', storage);
    const told = open(after);
    await clock.advance(1_000);
    expect([told.status.get(), told.replaced?.id]).toEqual(['replaced', ben.id]);
    const old = new Y.Doc();
    Y.applyUpdate(old, told.replaced?.update as Uint8Array);
    expect(old.getText('t').toString()).toBe('unsent old ');
    told.replaced?.discard();
    told.destroy();
    const fresh = open(after);
    await clock.advance(1_000);
    expect([textOf(fresh), fresh.status.get(), docs.text(ROOM)]).toEqual(['new', 'saved', 'new']);
  });

  /** The room is deleted, and somebody begins the document anew. */
  const beginAnew = (text: string) => {
    server.delete(ROOM);
    const ydoc = new Y.Doc();
    ydoc.getText('t').insert(0, text);
    const update = Buffer.from(Y.encodeStateAsUpdate(ydoc)).toString('base64');
    server.append(ROOM, { author: 'ben', type: 'doc', data: { doc: 'main', update } });
  };
  const wantReplaced = (doc: RoomDoc, text: string) => {
    expect([docs.text(ROOM), server.log(ROOM).length]).toEqual(['new', 1]);
    expect([doc.status.get(), doc.error, textOf(doc)]).toEqual(['replaced', undefined, text]);
    expect(doc.replaced?.id).toBe(docs.of(ROOM)?.id);
    const kept = new Y.Doc();
    Y.applyUpdate(kept, doc.replaced?.update as Uint8Array);
    expect(kept.getText('t').toString()).toBe(text);
  };

  it.each([
    ['a frame', 'on its way '],
    ['a request of its own', 'x'.repeat(200_000)],
  ])(
    'what is on its way as the room begins anew, %s, is not in the new one, and kept (DOC-13)',
    async (_, text) => {
      const ann = open(clientOf('ann'));
      await clock.advance(100);
      write(ann, 'old ');
      await clock.advance(1_000);
      expect([ann.status.get(), ann.id]).toEqual(['saved', docs.of(ROOM)?.id]);
      const { id } = ann;
      server.network.delay(100);
      write(ann, text);
      await clock.advance(80); // it was compared long ago, and the server has not heard it
      expect(ann.status.get()).toBe('saving');
      beginAnew('new');
      await clock.advance(10_000);
      wantReplaced(ann, `${text}old `);
      expect(docs.refused).toEqual([id]);
      // What is written on is kept to itself.
      write(ann, 'more ');
      await clock.advance(1_000);
      expect([docs.text(ROOM), ann.status.get()]).toEqual(['new', 'replaced']);
    },
  );

  it('nor is what was kept through a reload, and sent when it had been compared (DOC-13)', async () => {
    const storage = docStorage();
    const client = clientOf('ann', storage);
    const ann = open(client);
    await clock.advance(100);
    write(ann, 'old ');
    await clock.advance(1_000);
    const { id } = ann;
    server.network.offline();
    await clock.advance(20_000);
    write(ann, 'unsent ');
    await client.close();
    server.network.restore();
    server.network.delay(100);
    const later = open(clientOf('ann', storage));
    const compared = () => docs.asked.length;
    const before = compared();
    for (let waited = 0; compared() === before && waited < 5_000; waited += 10) await clock.advance(10);
    expect(compared()).toBe(before + 1);
    await clock.advance(80); // the answer is back, and the update under way
    expect([later.status.get(), textOf(later)]).toEqual(['saving', 'unsent old ']);
    beginAnew('new');
    await clock.advance(10_000);
    wantReplaced(later, 'unsent old ');
    expect(docs.refused).toEqual([id]);
  });

  it('two who find no document both go on, and what a restored store has lost is taken (DOC-13)', async () => {
    server.network.delay(50);
    const [ann, ben] = [open(clientOf('ann')), open(clientOf('ben'))];
    await clock.advance(1_000);
    for (const doc of [ann, ben]) write(doc, doc === ann ? 'a ' : 'b ');
    await clock.advance(2_000);
    for (const doc of [ann, ben]) write(doc, doc === ann ? 'c ' : 'd ');
    await clock.advance(2_000);
    expect(docs.text(ROOM)).toHaveLength(8);
    server.reset(ROOM, { lost: 1 });
    await clock.advance(10_000);
    for (const doc of [ann, ben]) expect([doc.status.get(), textOf(doc)]).toEqual(['saved', docs.text(ROOM)]);
    expect(docs.text(ROOM)).toHaveLength(8);
    expect(docs.refused).toEqual([]);
  });

  it('what was under way when the connection went is not sent blindly on the next one, nor by another tab', async () => {
    const put: unknown[] = [];
    const storage = docStorage()();
    const { sends } = storage;
    const watched = {
      ...storage,
      sends: (...args: Parameters<typeof sends>) => ({
        ...sends(...args),
        put: (send: unknown) => put.push(send),
      }),
    };
    const client = server.client({ user: 'ann', fetch: docs.fetch, storage: watched as never });
    const ann = open(client);
    await clock.advance(100);
    write(ann, 'old ');
    await clock.advance(1_000);
    expect([ann.status.get(), server.log(ROOM).length]).toEqual(['saved', 1]);
    server.network.blackhole();
    write(ann, 'unheard ');
    await clock.advance(100);
    expect([ann.status.get(), client.status.get().pendingSends > 0]).toEqual(['saving', true]);
    server.delete(ROOM);
    server.network.cut();
    server.network.restore();
    client.retryNow();
    await clock.advance(30_000);
    expect([ann.status.get(), textOf(ann)]).toEqual(['replaced', 'unheard old ']);
    expect(server.log(ROOM)).toEqual([]);
    expect(put).toEqual([]);
  });

  it('a refusal is said, and what was written goes with what is written next; large updates are posted (DOC-7)', async () => {
    const client = clientOf('ann');
    const ann = open(client);
    await clock.advance(100);
    server.refuse({ code: 'limit_exceeded' });
    write(ann, 'too much ');
    await clock.advance(1_000);
    expect([ann.status.get(), ann.error?.code, docs.text(ROOM)]).toEqual(['failed', 'limit_exceeded', '']);
    // What was refused is the document's to send again, not the outbox's.
    expect((client.room(ROOM) as never as { outbox: Outbox }).outbox.entries).toEqual([]);
    write(ann, 'again ');
    await clock.advance(1_000);
    expect([ann.status.get(), ann.error, docs.text(ROOM)]).toEqual(['saved', undefined, 'again too much ']);
    write(ann, 'x'.repeat(200_000));
    await clock.advance(1_000);
    expect(docs.asked.filter(each => each.startsWith('POST'))).toHaveLength(1);
    expect([ann.status.get(), docs.text(ROOM).length]).toEqual(['saved', 200_015]);
    const other = server.client({
      user: 'ben',
      fetch: docs.fetch,
      grants: [{ rooms: ROOM, can: ['read'] }] as never,
    });
    const ben = open(other);
    await clock.advance(1_000);
    expect([ben.status.get(), textOf(ben).length]).toEqual(['saved', 200_015]);
    write(ben, 'no');
    await clock.advance(1_000);
    expect([ben.status.get(), ben.error?.code]).toEqual(['failed', 'forbidden']);
  });

  it("what one user wrote is not sent as another's; who closes it leaves nothing under way", async () => {
    const storage = docStorage();
    // The server will say that it is Ben.
    const client = server.client({
      user: 'ann',
      token: server.token('ben'),
      fetch: docs.fetch,
      storage: storage(),
    });
    const ann = open(client);
    write(ann, 'of ann ');
    await clock.advance(1_000);
    expect([ann.status.get(), ann.error?.code]).toEqual(['failed', 'author_mismatch']);
    expect(server.log(ROOM)).toEqual([]);
    ann.destroy();
    const ben = open(client);
    await clock.advance(1_000);
    expect([ben.status.get(), textOf(ben)]).toEqual(['saved', '']);
    server.network.blackhole();
    write(ben, 'under way ');
    await clock.advance(100);
    expect(client.status.get().pendingSends).toBeGreaterThan(0);
    ben.destroy();
    expect(client.status.get().pendingSends).toBe(0);
    server.network.cut();
    server.network.restore();
    await clock.advance(30_000);
    expect(server.log(ROOM)).toEqual([]);
    const again = open(clientOf('ann', storage));
    await clock.advance(1_000);
    expect(textOf(again)).toBe('of ann ');
  });

  it('carets come with their connection and go with it; nobody speaks for another', async () => {
    const [one, two] = [clientOf('ann'), clientOf('ben')];
    const [ann, ben] = [open(one), open(two)];
    await clock.advance(500);
    ann.awareness.setLocalStateField('user', { name: 'Ann' });
    await clock.advance(500);
    const seen = () => ben.awareness.getStates().get(ann.ydoc.clientID);
    expect(seen()).toEqual({ user: { name: 'Ann' } });
    // Ben is no caret of Ann's.
    two
      .room(ROOM)
      .broadcast(
        'awareness',
        { doc: 'main', clock: 99, state: { user: 'x' } },
        { key: String(ann.ydoc.clientID) },
      );
    await clock.advance(60_000);
    expect(seen()).toEqual({ user: { name: 'Ann' } });
    expect(ann.awareness.getLocalState()).toEqual({ user: { name: 'Ann' } });
    server.network.cut();
    await clock.advance(5_000);
    expect(seen()).toEqual({ user: { name: 'Ann' } });
    ann.destroy();
    await clock.advance(1_000);
    expect(seen()).toBeUndefined();
  });
});
