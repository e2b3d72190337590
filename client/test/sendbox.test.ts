import { IDBFactory, IDBKeyRange, IDBObjectStore } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SendBox, StoredSend } from '../src/index.js';
import { indexedDBStorage } from '../src/indexeddb/index.js';
import { FakeLocks } from './fake/locks.js';
import { tagOf } from './fake/socket.js';

const owner = { server: 'http://h:1', user: 'u1' };

const send = (n: number, json = '{}'): StoredSend => ({
  room: 'chat:a',
  tag: tagOf(n),
  type: 'message',
  json,
  at: 0,
  order: n,
  tried: false,
  refusal: undefined,
});

describe('a box of sends', () => {
  let locks: FakeLocks;
  let failures: unknown[];
  const boxes: SendBox[] = [];

  beforeEach(() => {
    locks = new FakeLocks();
    failures = [];
    vi.stubGlobal('indexedDB', new IDBFactory());
    vi.stubGlobal('IDBKeyRange', IDBKeyRange);
    vi.stubGlobal('navigator', { locks });
  });
  afterEach(async () => {
    for (const box of boxes.splice(0)) await box.close();
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  function open(): { box: SendBox; adopted: string[] } {
    const adopted: string[] = [];
    const box = indexedDBStorage().sends(owner, {
      adopted: sends => adopted.push(...sends.map(({ tag }) => tag)),
      isUp: () => false,
      failed: cause => failures.push(cause),
    });
    boxes.push(box);
    return { box, adopted };
  }

  /** Leaves sends behind, as a page does that crashes. */
  async function leave(...sends: StoredSend[]): Promise<void> {
    const { box } = open();
    for (const each of sends) box.put(each);
    await box.adopt(); // one thing after another: what was put is written by then
    locks.crash();
  }

  it('a page that begins while another looks around is not taken for gone', async () => {
    const { box, adopted } = open();
    const query = locks.query.bind(locks);
    vi.spyOn(locks, 'query').mockImplementationOnce(async () => {
      const before = await query();
      const newcomer = open().box;
      newcomer.put(send(1));
      await newcomer.close(); // written; that it also lets go of its lock changes nothing of what was seen
      return before;
    });
    await box.adopt();
    expect(adopted).toEqual([]);
    await box.adopt();
    expect(adopted).toEqual([tagOf(1)]);
  });

  it('what could not be written is written with what comes next', async () => {
    const { box } = open();
    box.put(send(1));
    box.put(send(2));
    await box.adopt();
    vi.spyOn(IDBObjectStore.prototype, 'delete').mockImplementationOnce(() => {
      throw new DOMException('The disk is full.', 'QuotaExceededError');
    });
    box.delete('chat:a', tagOf(1));
    await box.adopt();
    expect(failures).toHaveLength(1);
    box.put(send(3));
    await box.adopt();
    locks.crash();
    const next = open();
    await next.box.adopt();
    expect(next.adopted).toEqual([tagOf(2), tagOf(3)]);
  });

  it('a damaged record keeps nothing behind it', async () => {
    await leave(send(1, '{"te'), send(2));
    const { box, adopted } = open();
    await box.adopt();
    expect(adopted).toEqual([tagOf(2)]);
    expect(failures).toEqual([]);
  });
});
