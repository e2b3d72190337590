import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createTestServer } from '../src/testing/index.js';

await import('../src/client/sides/part.js');
await import('../src/client/view.js');

const pass = (ms = 100) => vi.advanceTimersByTimeAsync(ms);

describe('changes at the server in memory', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('are stored, judged and told, and history is as it is now (CHG)', async () => {
    const server = createTestServer();
    const options = { tombstones: true };
    const member = [{ rooms: '*', can: ['read', 'send'] as const }];
    const ann = server.client({ user: 'ann', grants: member, ...options });
    const bob = server.client({ user: 'bob', grants: member, ...options });
    const [room, theirs] = [ann.room<{ text: string }>('chat:a'), bob.room<{ text: string }>('chat:a')];
    room.attach();
    theirs.attach();
    await pass();
    const first = room.messages.send({ text: 'helo' });
    room.messages.edit(first.tag, { text: 'hello' });
    room.messages.send({ text: 'secret' });
    await pass();
    theirs.messages.react(1, '👍');
    const forbidden = theirs.messages.edit(1, { text: 'mine' });
    const unknown = theirs.messages.remove(2);
    await pass();
    await expect(forbidden).rejects.toMatchObject({ code: 'forbidden', field: 'target' });
    await expect(unknown).rejects.toMatchObject({ code: 'unknown_target' });
    room.messages.edit(3, { text: 'more secret' });
    room.messages.remove(3);
    await pass();
    const show = (list: typeof room.messages.list) =>
      list
        .get()
        .map(
          ({ data, reactions, deleted }) =>
            data?.text + reactions.map(r => r.emoji).join() + (deleted?.by ?? ''),
        );
    expect(show(room.messages.list)).toEqual(['hello👍', 'undefinedann']);
    expect(show(theirs.messages.list)).toEqual(['hello👍', 'undefinedann']);
    expect(JSON.stringify(server.log('chat:a'))).not.toContain('secret');
    expect(server.log('chat:a')[1]).toMatchObject({ type: 'edit', target: 1 });

    const late = server.client({ user: 'late', ...options }).room<{ text: string }>('chat:a', { limit: 1 });
    late.attach();
    await pass();
    const loading = late.messages.loadOlder();
    await pass();
    await loading;
    expect(show(late.messages.list)).toEqual(['hello👍', 'undefinedann']);
    await server.close();
  });

  it("tells one's own reaction behind those of ten others, and takes it back (CHG-9)", async () => {
    const server = createTestServer();
    const names = Array.from({ length: 11 }, (_, i) => `u${i}`);
    server.append('chat:a', { author: 'ann', data: { text: 'popular' } });
    for (const author of [...names, 'zoe'])
      server.append('chat:a', { author, type: 'reaction', data: { target: 1, emoji: '👍' } });
    const room = server.client({ user: 'zoe' }).room<{ text: string }>('chat:a', { limit: 1 });
    room.attach();
    await pass();
    const loading = room.messages.loadOlder();
    await pass();
    await loading;
    const reaction = () => room.messages.list.get()[0]?.reactions[0];
    expect(reaction()).toMatchObject({ count: 12, users: [...names.slice(0, 10), 'zoe'], mine: true });
    room.messages.unreact(1, '👍');
    await pass();
    expect(reaction()).toMatchObject({ count: 11, users: names.slice(0, 10), mine: false });
    await server.close();
  });

  it('and who is here, who types, what is broadcast and read is told too (SIDE, RCPT)', async () => {
    const server = createTestServer();
    const [ann, bob] = ['ann', 'bob'].map(user =>
      server.client({ user }).room<{ text: string }, { x?: number }>('chat:a'),
    );
    if (!ann || !bob) throw new Error('nobody');
    const heard: unknown[] = [];
    for (const room of [ann, bob]) {
      room.presence.others.subscribe(() => {});
      room.typing.who.subscribe(() => {});
      room.receipts.marks.subscribe(() => {});
      room.attach();
    }
    ann.on('broadcast', ({ user, data }) => heard.push([user, data]));
    await pass(1_000);
    expect(ann.presence.others.get().map(({ user }) => user)).toEqual(['bob']);
    bob.presence.set({ x: 1 });
    bob.typing.keystroke();
    bob.broadcast('cursor', { y: 2 });
    ann.messages.send({ text: 'hi' });
    await pass(1_000);
    expect(ann.presence.others.get()[0]?.data).toEqual({ x: 1 });
    expect(ann.typing.who.get()).toEqual(['bob']);
    expect(heard).toEqual([['bob', { y: 2 }]]);
    expect([bob.receipts.unread.get(), bob.receipts.firstUnread.get()]).toEqual([1, 1]);
    expect(ann.receipts.reached(1)).toBe('delivered');
    bob.receipts.markRead();
    await pass(1_000);
    expect([bob.receipts.unread.get(), ann.receipts.reached(1), ann.receipts.readers(1)]).toEqual([
      0,
      'read',
      ['bob'],
    ]);
    server.network.cut();
    await pass(20_000);
    server.network.restore();
    await pass(20_000);
    expect(ann.presence.others.get().map(({ user, data }) => [user, data])).toEqual([['bob', { x: 1 }]]);
    await server.close();
  });
});
