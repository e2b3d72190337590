import { createCollection } from '@tanstack/db';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient, type Message, type StoredWindow } from '../src/index.js';
import { roomlogCollectionOptions } from '../src/tanstack-db/index.js';
import { event, FakeNetwork, type FakeSocket, joined } from './fake/socket.js';

await import('../src/client/view.js');
const { Recent } = await import('../src/client/recent.js');

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

function follow(socket: FakeSocket, prev: number, ...events: object[]): void {
  const seq = prev + events.length;
  socket.say({ op: 'page', room: 'chat:a', epoch: 'e', prev, seq, position: `e:${seq}`, events });
}

const erase = (seq: number, user: string) => event(seq, { type: 'erase', author: 'admin', data: { user } });
const show = ({ seq, data, deleted, reactions }: Message) =>
  [
    `${seq} ${data?.text ?? null}`,
    deleted && `deleted by ${deleted.by}`,
    ...reactions.map(({ emoji }) => emoji),
  ]
    .filter(Boolean)
    .join('; ');

describe('an erase event', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const LOG = [
    event(1, { author: 'u2', data: { text: 'canary 1' } }),
    event(2, { author: 'u3', data: { text: 'kept' } }),
    event(3, { author: 'u2', data: { text: 'canary 2' } }),
    event(4, { author: 'mod', type: 'edit', target: 1, data: { target: 1, data: { text: 'canary 3' } } }),
    event(5, { author: 'u3', type: 'reaction', target: 3, data: { target: 3, emoji: '👍' } }),
    event(6, { author: 'u2', data: { text: 'canary 4' } }),
    event(7, { author: 'mod', type: 'delete', target: 6, data: { target: 6 } }),
  ];

  it('drops what its user said before it from the window, and nothing else (ERASE-2, ERASE-3)', async () => {
    const network = new FakeNetwork();
    const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
    const room = client.room('chat:a', { tombstones: true });
    room.attach();
    await pass(0);
    const socket = network.last.welcome();
    socket.say(joined(socket.take('join').id, 0, 0));
    follow(socket, 0, ...LOG);
    await pass(0);
    const before = room.messages.list.get();
    expect(before.map(show)[0]).toBe('1 canary 3');
    follow(socket, 7, erase(8, 'u2'), event(9, { author: 'u2', data: { text: 'later' } }));
    await pass(0);
    const after = room.messages.list.get();
    expect(after.map(show)).toEqual([
      '1 null; deleted by admin',
      '2 kept',
      '3 null; deleted by admin',
      '6 null; deleted by mod',
      '9 later',
    ]);
    expect(after[1]).toBe(before[1]); // the same object until it changes
    // A late edit of one of them brings nothing back, and who sends data with a user erases nobody.
    follow(
      socket,
      9,
      event(10, { author: 'mod', type: 'edit', target: 1, data: { target: 1, data: { text: 'canary' } } }),
      event(11, {
        author: 'u9',
        type: 'edit',
        target: 2,
        data: { target: 2, user: 'u3', data: { text: 'edited' } },
      }),
      event(12, { type: 'erase', author: 'admin', data: null }),
    );
    await pass(0);
    expect(room.messages.list.get().map(show).slice(0, 2)).toEqual(['1 null; deleted by admin', '2 edited']);
    await client.close();
  });

  it('takes the rows of a TanStack DB collection away (ERASE-3)', async () => {
    const network = new FakeNetwork();
    const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
    const messages = createCollection(
      roomlogCollectionOptions<{ text: string }>({ client, room: 'chat:a', startSync: true }),
    );
    await pass(0);
    const socket = network.last.welcome();
    socket.say(joined(socket.take('join').id, 0, 0));
    follow(socket, 0, ...LOG);
    await pass(0);
    expect(messages.toArray.map(({ data }) => data?.text)).toEqual(['canary 3', 'kept', 'canary 2']);
    follow(socket, 7, erase(8, 'u2'));
    await pass(0);
    expect(messages.toArray.map(({ data }) => data?.text)).toEqual(['kept']);
    await client.close();
  });

  it('leaves nothing of them in the window that is kept (ERASE-3)', async () => {
    const written: StoredWindow[] = [];
    const kept = { keepsWindows: true, keepWindow: (window: StoredWindow) => written.push(window) };
    const recent = new Recent('chat:a', kept as never);
    recent.took({ events: LOG, prev: 0, seq: 7, position: 'e:7' } as never, 'e', 1);
    recent.took({ events: [erase(8, 'u2')], prev: 7, seq: 8, position: 'e:8' } as never, 'e', 1);
    recent.write();
    const [put] = written;
    expect(JSON.stringify(put)).not.toContain('canary');
    expect(put?.events.map(({ seq, data }) => (data === null ? -seq : seq))).toEqual([
      -1, 2, -3, -4, 5, -6, 7, 8,
    ]);
  });
});
