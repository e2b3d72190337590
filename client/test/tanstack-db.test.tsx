// @vitest-environment happy-dom
import { createCollection, eq, gt } from '@tanstack/db';
import { useLiveQuery } from '@tanstack/react-db';
import { act } from 'react';
import { describe, expect, it, vi } from 'vitest';
import { roomlogCollectionOptions } from '../src/tanstack-db/index.js';
import { FakeServer } from './fake/server.js';
import { ack, event, joined, page, refusal, tagOf } from './fake/socket.js';
import { pass, stage } from './fake/stage.js';

const set = stage();

const options = (more: object = {}) =>
  roomlogCollectionOptions({ client: set.client, room: 'chat:a', ...more });

/** A collection that somebody subscribes to, and what it shows: in its order, and what changed on the way. */
function collect(more: object = {}) {
  const collection = createCollection(options(more));
  const changes: string[] = [];
  const subscription = collection.subscribeChanges(
    all => {
      for (const { type, value } of all) changes.push(`${type} ${value.data.text} ${value.delivery}`);
    },
    { includeInitialState: true },
  );
  const rows = () => collection.toArray.map(row => `${row.data.text} ${row.delivery}`);
  return {
    collection,
    changes,
    rows,
    subscription,
    list: () => set.client.room('chat:a').messages.list.get(),
  };
}

describe('a collection of a room', () => {
  it('does nothing before somebody subscribes, then joins and is ready with the first page', async () => {
    const idle = createCollection(options());
    await pass();
    expect(idle.status).toBe('idle');
    expect(set.network.sockets).toHaveLength(0);
    const { collection, rows } = collect();
    const ready = vi.fn();
    collection.onFirstReady(ready);
    const socket = await set.connected();
    expect([collection.status, ready.mock.calls.length]).toEqual(['loading', 0]);
    await act(async () => void socket.say(joined(socket.take('join').id, 0, 2)));
    expect([collection.status, ready.mock.calls.length]).toEqual(['ready', 1]);
    expect(rows()).toEqual(['m1 sent', 'm2 sent']);
    expect(collection.get(tagOf(1))).toMatchObject({ seq: 1, order: 1, author: 'u2', tag: tagOf(1) });
    await act(async () => void socket.say(page(2, 4)));
    expect(rows()).toEqual(['m1 sent', 'm2 sent', 'm3 sent', 'm4 sent']);
  });

  it('is ready with an empty room too', async () => {
    const { collection } = collect();
    const socket = await set.connected();
    await act(async () => void socket.say(joined(socket.take('join').id, 0, 0)));
    expect([collection.status, collection.size]).toEqual(['ready', 0]);
  });

  it('an insert is a send: there at once, queued, sent in order, and the same row throughout', async () => {
    const { collection, changes, rows } = collect();
    const first = collection.insert({ data: { text: 'a' }, tag: tagOf(7) });
    expect(rows()).toEqual(['a queued']);
    await first.isPersisted.promise; // taken over, long before there is a connection
    collection.insert([{ data: { text: 'b' } }, { data: { text: 'c' } }]);
    await pass();
    expect(rows()).toEqual(['a queued', 'b queued', 'c queued']);
    const socket = await set.joined();
    expect(rows()).toEqual(['m1 sent', 'm2 sent', 'a sending', 'b sending', 'c sending']);
    const sends = [socket.take('send'), socket.take('send'), socket.take('send')];
    expect(sends.map(({ data }) => data)).toEqual([{ text: 'a' }, { text: 'b' }, { text: 'c' }]);
    expect(sends[0]?.tag).toBe(tagOf(7));
    await act(async () => void socket.say(ack(sends[0] as never, 3)));
    const mine = event(3, { author: 'u1', tag: tagOf(7), data: { text: 'a' } });
    await act(async () => void socket.say({ ...page(2, 3), events: [mine] }));
    expect(rows()).toEqual(['m1 sent', 'm2 sent', 'a sent', 'b sending', 'c sending']);
    expect(collection.get(tagOf(7))).toMatchObject({
      seq: 3,
      order: 3,
      delivery: 'sent',
      author: 'u1',
      own: true,
    });
    // Never deleted and inserted anew, not even for a moment.
    expect(changes.filter(change => /^(insert|delete) a/.test(change))).toEqual(['insert a queued']);
  });

  it('a refused message stays, as failed with its error; it is retried by the room, or deleted', async () => {
    const { collection, rows } = collect();
    const socket = await set.joined();
    const insert = collection.insert({ data: { text: 'no' }, tag: tagOf(9) });
    await insert.isPersisted.promise;
    await act(async () => void socket.say(refusal(socket.take('send'), 'forbidden', false)));
    expect(rows().at(-1)).toBe('no failed');
    expect(collection.get(tagOf(9))?.error?.code).toBe('forbidden');
    set.client.room('chat:a').messages.retry(tagOf(9));
    await pass();
    expect(rows().at(-1)).toBe('no sending');
    await act(async () => void socket.say(refusal(socket.take('send'), 'forbidden', false)));
    await collection.delete(tagOf(9)).isPersisted.promise;
    expect(rows()).toEqual(['m1 sent', 'm2 sent']);
  });

  it('what is stored cannot be deleted: the transaction fails and the row is back', async () => {
    const { collection, rows } = collect();
    await set.joined();
    const deletion = collection.delete(tagOf(1));
    expect(rows()).toEqual(['m2 sent']);
    await expect(deletion.isPersisted.promise).rejects.toThrow('cannot be taken back');
    expect(rows()).toEqual(['m1 sent', 'm2 sent']);
  });

  it('data that JSON cannot carry is refused, and the row is gone', async () => {
    const { collection, rows } = collect();
    await set.joined();
    const insert = collection.insert({ data: (() => {}) as never });
    await expect(insert.isPersisted.promise).rejects.toThrow(TypeError);
    expect(rows()).toEqual(['m1 sent', 'm2 sent']);
  });

  it('a send by the room itself shows like any other, and a retry goes behind what is queued', async () => {
    const { collection, rows } = collect();
    const { messages } = set.client.room('chat:a');
    const socket = await set.joined();
    messages.send({ text: 'x' });
    messages.send({ text: 'y' });
    await pass();
    expect(rows().slice(2)).toEqual(['x sending', 'y sending']);
    const [x, y] = [socket.take('send'), socket.take('send')];
    await act(async () => void socket.say(refusal(x, 'forbidden', false)));
    await act(async () => void socket.say(refusal(y, 'forbidden', false)));
    expect(rows().slice(2)).toEqual(['x failed', 'y failed']);
    messages.retry(String(x.tag));
    await pass();
    expect(rows().slice(2)).toEqual(['y failed', 'x sending']);
    expect(collection.toArray.map(row => row.tag)).toEqual(messages.list.get().map(m => m.tag));
  });

  it('a reset replaces the rows in one go, and keeps what is unsent', async () => {
    const { collection, rows } = collect();
    const socket = await set.joined();
    collection.insert({ data: { text: 'mine' } });
    await pass();
    await act(async () => socket.end());
    await pass(20_000);
    await act(async () => void set.network.last.welcome());
    const sizes: number[] = [];
    collection.subscribeChanges(() => sizes.push(collection.size));
    const again = set.network.last;
    const reset = joined(again.take('join').id, 1, 3, { epoch: 'f', reset: { reason: 'epoch' } });
    await act(async () => void again.say(reset));
    expect(rows()).toEqual(['m2 sent', 'm3 sent', 'mine sending']);
    expect(sizes).not.toContain(0);
    expect(collection.get(tagOf(1))).toBeUndefined();
  });

  it('a tag that somebody took from another does not take the other message', async () => {
    const { collection, rows } = collect();
    const socket = await set.joined();
    const copy = event(3, { author: 'u3', tag: tagOf(1), data: { text: 'copy' } });
    await act(async () => void socket.say({ ...page(2, 3), events: [copy] }));
    expect(rows()).toEqual(['m1 sent', 'm2 sent', 'copy sent']);
    expect(collection.get(tagOf(1))?.data.text).toBe('m1');
  });

  it('a denied room is an error until it is joined, and one that was there stays', async () => {
    const { collection, rows } = collect();
    const preload = collection.preload();
    preload.catch(() => {});
    const socket = await set.connected();
    await act(async () => void socket.say(refusal(socket.take('join'), 'forbidden', false)));
    expect(collection.status).toBe('error');
    await expect(preload).rejects.toMatchObject({ code: 'forbidden' });
    await act(async () => socket.end());
    await pass(20_000);
    await act(async () => void set.network.last.welcome());
    const again = set.network.last;
    await act(async () => void again.say(joined(again.take('join').id, 0, 1)));
    expect([collection.status, rows()]).toEqual(['ready', ['m1 sent']]);
    const taken = { op: 'error', room: 'chat:a', code: 'forbidden', title: 'No.', retryable: false };
    await act(async () => void again.say(taken));
    expect([collection.status, rows()]).toEqual(['ready', ['m1 sent']]);
  });

  it('a connection that failed for good before the first page is an error', async () => {
    const { collection } = collect();
    await pass();
    await act(async () => set.network.last.accept().end(4_500));
    expect(collection.status).toBe('error');
  });

  it('leaves the room with its cleanup, listens no more, and begins anew with the next subscriber', async () => {
    const { collection, subscription } = collect();
    const socket = await set.joined();
    subscription.unsubscribe();
    await collection.cleanup();
    await pass();
    expect(socket.take('leave')).toMatchObject({ room: 'chat:a' });
    set.client.room('chat:a').messages.send({ text: 'later' });
    await pass();
    expect(collection.status).toBe('cleaned-up');
    collection.subscribeChanges(() => {});
    await pass();
    expect(socket.take('join')).toMatchObject({ room: 'chat:a' });
    expect(collection.toArray.map(row => row.data.text)).toEqual(['m1', 'm2', 'later']);
  });

  it('equals the list through drops, duplicates, holes and restores', async () => {
    const server = new FakeServer(set.network);
    set.token = server.test.token('u1');
    const { collection, list } = collect();
    const same = () => {
      expect(collection.toArray).toMatchObject(list());
      expect(collection.size).toBe(list().length);
    };
    await pass(1_000);
    for (let n = 1; n <= 5; n++) {
      collection.insert({ data: { text: `mine ${n}` } });
      server.append('u2', tagOf(100 + n), { text: `theirs ${n}` });
      server.pageFaults.push('lost', 'twice');
      if (n % 2) server.test.network.cut();
      if (n === 4) server.restore(2);
      await pass(7);
      same();
      await pass(30_000);
      same();
    }
    expect(list().map(m => m.seq)).toEqual(server.log.map(e => e.seq));
    expect(collection.toArray.map(row => row.data)).toEqual(server.log.map(e => e.data));
    expect(collection.toArray.filter(row => row.own)).toHaveLength(
      server.log.filter(e => e.author === 'u1').length,
    );
  });
});

function Query({ collection }: { collection: ReturnType<typeof collect>['collection'] }) {
  const { data, isReady } = useLiveQuery(q =>
    q
      .from({ m: collection })
      .where(({ m }) => gt(m.order, 1))
      .where(({ m }) => eq(m.type, 'message'))
      .orderBy(({ m }) => m.order, 'desc')
      .select(({ m }) => ({ tag: m.tag, text: m.data.text, delivery: m.delivery })),
  );
  return (
    <ol aria-busy={!isReady}>
      {data.map(({ tag, text, delivery }) => (
        <li key={tag}>{`${text} ${delivery}`}</li>
      ))}
    </ol>
  );
}

describe('a live query', () => {
  it('follows the room, newest first, and shows a send at once', async () => {
    const collection = createCollection(options());
    await set.render(<Query collection={collection} />);
    const shown = () => [...set.host.querySelectorAll('li')].map(li => li.textContent);
    const socket = await set.joined();
    expect(shown()).toEqual(['m2 sent']);
    await act(async () => void collection.insert({ data: { text: 'hi' } }));
    expect(shown()).toEqual(['hi sending', 'm2 sent']);
    const row = set.host.querySelector('li');
    await act(async () => void socket.say(ack(socket.take('send'), 3)));
    expect(shown()).toEqual(['hi sent', 'm2 sent']);
    expect(set.host.querySelector('li')).toBe(row);
    expect(set.network.sockets).toHaveLength(1);
  });
});
