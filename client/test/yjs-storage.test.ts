import 'fake-indexeddb/auto';
import { afterEach, expect, it, vi } from 'vitest';
import * as Y from 'yjs';
import { createClient } from '../src/index.js';
import { indexedDBStorage } from '../src/indexeddb/index.js';
import { createTestServer, type TestServer } from '../src/testing/index.js';
import { openDoc } from '../src/yjs/index.js';
import { TestDocs } from './fake/docs.js';

const owner = { server: 'http://h', user: 'ann' };
const failures: unknown[] = [];
const failed = (cause: unknown) => void failures.push(cause);
let server: TestServer | undefined;
afterEach(async () => {
  await server?.close();
  expect(failures.splice(0)).toEqual([]);
});

it('keeps documents by owner, room and name; one update in place of others leaves what another tab has written', async () => {
  const storage = indexedDBStorage({ name: 'boxes' });
  const box = storage.docs?.(owner, failed);
  const tab = storage.docs?.(owner, failed);
  const other = storage.docs?.({ ...owner, user: 'ben' }, failed);
  if (!box || !tab || !other) throw new Error('there is no box');
  const bytes = (n: number) => new Uint8Array([n]);
  expect(await box.read('pad:a', 'main')).toBeUndefined();
  box.add('pad:a', 'main', undefined, bytes(1));
  box.add('pad:a', 'main', 'id1', bytes(2));
  box.add('pad:a', 'notes', 'id9', bytes(9));
  const kept = await box.read('pad:a', 'main');
  expect(kept).toMatchObject({ id: 'id1', updates: [bytes(1), bytes(2)] });
  tab.add('pad:a', 'main', 'id1', bytes(3));
  await tab.close();
  box.add('pad:a', 'main', 'id1', bytes(4), kept?.upTo);
  expect((await box.read('pad:a', 'main'))?.updates).toEqual([bytes(3), bytes(4)]);
  // What a tab wrote to the old document, when another had begun the new one, is none of the new one's.
  box.add('pad:a', 'main', 'id2', bytes(5));
  expect(await box.read('pad:a', 'main')).toMatchObject({ id: 'id2', updates: [bytes(5)] });
  expect(await other.read('pad:a', 'main')).toBeUndefined();
  box.delete('pad:a', 'main');
  expect(await box.read('pad:a', 'main')).toBeUndefined();
  expect((await box.read('pad:a', 'notes'))?.updates).toEqual([bytes(9)]);
});

it('what is typed while something is written is written in one go: letters do not queue for the disk', async () => {
  const box = indexedDBStorage({ name: 'typed' }).docs?.(owner, failed);
  if (!box) throw new Error('there is no box');
  await box.read('pad:a', 'main'); // the database is open
  const begun = vi.spyOn(IDBDatabase.prototype, 'transaction');
  const bytes = Array.from({ length: 40 }, (_, i) => new Uint8Array([i]));
  box.add('pad:a', 'main', 'id', bytes[0] as Uint8Array);
  await vi.waitUntil(() => begun.mock.calls.length > 0, { interval: 1 });
  for (const each of bytes.slice(1)) box.add('pad:a', 'main', 'id', each);
  await box.close();
  expect(begun).toHaveBeenCalledTimes(2);
  begun.mockRestore();
  expect((await box.read('pad:a', 'main'))?.updates).toEqual(bytes);
});

it('a database of the version before has its sends still, and documents too', async () => {
  await new Promise<void>((resolve, reject) => {
    const request = indexedDB.open('older', 2);
    request.onupgradeneeded = () => {
      const { result } = request;
      result.createObjectStore('marks', { keyPath: ['server', 'user', 'room'] });
      const sends = result.createObjectStore('sends', { keyPath: ['server', 'user', 'room', 'tag'] });
      sends.createIndex('owner', ['server', 'user']);
      const windows = result.createObjectStore('windows', { keyPath: ['server', 'user', 'room'] });
      windows.createIndex('age', ['server', 'user', 'at']);
      (request.transaction as IDBTransaction).objectStore('marks').put({ ...owner, room: 'pad:a', read: 7 });
    };
    request.onsuccess = () => {
      request.result.close();
      resolve();
    };
    request.onerror = () => reject(request.error);
  });
  const storage = indexedDBStorage({ name: 'older' });
  expect(await storage.marks(owner, failed).all()).toEqual(new Map([['pad:a', 7]]));
  const box = storage.docs?.(owner, failed);
  box?.add('pad:a', 'main', 'id', new Uint8Array([1]));
  expect((await box?.read('pad:a', 'main'))?.id).toBe('id');
});

it('what was written before the first connection, with nobody known yet, is kept when it is known who writes', async () => {
  server = createTestServer();
  const { fetch } = new TestDocs(server);
  const storage = indexedDBStorage({ name: 'late' });
  server.network.offline();
  // Without the option `user`: only the server says who it is.
  const client = createClient({
    url: server.url,
    token: server.token('ann'),
    WebSocket: server.WebSocket,
    fetch,
    storage,
    backoff: { maxMs: 20 },
  });
  const doc = openDoc(client.room('pad:a'));
  doc.ydoc.getText('t').insert(0, 'early');
  server.network.restore();
  client.retryNow();
  for await (const status of doc.status) if (status === 'saved') break;
  doc.destroy();
  await client.close();
  const box = storage.docs?.({ server: server.url, user: 'ann' }, failed);
  const kept = await box?.read('pad:a', 'main');
  const ydoc = new Y.Doc();
  for (const update of kept?.updates ?? []) Y.applyUpdate(ydoc, update);
  expect(ydoc.getText('t').toString()).toBe('early');
});
