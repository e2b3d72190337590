import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient, type Gap, type RoomOptions, type RoomReset } from '../src/index.js';
import { ack, event, FakeNetwork, joined, page, refusal, span } from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

async function attached(options: RoomOptions = {}) {
  const network = new FakeNetwork();
  const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
  const room = client.room('chat:a', options);
  const seen: string[] = [];
  const gaps: Gap[] = [];
  const resets: RoomReset[] = [];
  room.on('event', e => seen.push(`${e.seq} ${e.via}${e.own ? ' own' : ''}`));
  room.on('gap', gap => gaps.push(gap));
  room.on('reset', reset => resets.push(reset));
  const detach = room.attach();
  await pass(0);
  const socket = network.last.welcome();
  const texts = () => room.messages.list.get().map(message => message.data.text);
  return {
    network,
    client,
    room,
    detach,
    socket,
    seen,
    gaps,
    resets,
    texts,
    status: () => room.status.get(),
  };
}

/** Ends the connection and makes the next. */
async function again(network: FakeNetwork) {
  network.last.end();
  await pass(20_000);
  return network.last.welcome();
}

describe('cursor', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('joins without a position, is caught up with the page, then live (JOIN-1, JOIN-3, PAGE-5)', async () => {
    const { socket, seen, status, room, texts } = await attached({ limit: 7, replay: 9 });
    expect(status()).toMatchObject({ state: 'attaching', loaded: false });
    const join = socket.take('join');
    expect(join).toMatchObject({ room: 'chat:a', limit: 7, replay: 9 });
    expect(join).not.toHaveProperty('position');
    socket.say(joined(join.id, 3, 4, { head: 6 }));
    expect(status()).toMatchObject({ state: 'catching-up', seq: 4, behind: 2, loaded: true });
    socket.say(page(4, 6)).say(page(6, 7));
    expect(status()).toMatchObject({ state: 'live', seq: 7, behind: 0, gaps: 0 });
    expect(seen).toEqual(['4 replay', '5 replay', '6 replay', '7 live']);
    expect(texts()).toEqual(['m4', 'm5', 'm6', 'm7']);
    expect(room.position).toBe('e:7');
  });

  it('begins where the application says (JOIN-5)', async () => {
    const { socket, texts } = await attached({ position: '0' });
    const join = socket.take('join');
    expect(join.position).toBe('0');
    socket.say(joined(join.id, 0, 2));
    expect(texts()).toEqual(['m1', 'm2']);
  });

  it('drops what is wholly old and cuts what is partly old (PAGE-3)', async () => {
    const { socket, seen, gaps, texts } = await attached();
    socket.say(joined(socket.take('join').id, 0, 3));
    socket.say(page(0, 2)).say(page(2, 3)).say(page(3, 3)).say(page(1, 5)).say(page(3, 5));
    expect(texts()).toEqual(['m1', 'm2', 'm3', 'm4', 'm5']);
    expect(seen).toHaveLength(5);
    expect(gaps).toEqual([]);
  });

  it('takes nothing beyond a hole, joins again from its own position, and says so (PAGE-4)', async () => {
    const { socket, gaps, status, texts } = await attached();
    socket.say(joined(socket.take('join').id, 0, 2));
    socket.say(page(4, 6)).say(page(6, 7));
    expect(status()).toMatchObject({ seq: 2, gaps: 1, state: 'attaching' });
    expect(gaps).toEqual([{ from: 3, to: 4, recovered: false }]);
    const join = socket.take('join');
    expect(join.position).toBe('e:2');
    expect(socket.sent).toEqual([]); // one join for both pages
    socket.say(joined(join.id, 2, 3, { head: 7 }));
    expect(gaps).toHaveLength(1);
    socket.say(page(3, 7));
    expect(gaps.at(-1)).toEqual({ from: 3, to: 4, recovered: true });
    expect(texts()).toHaveLength(7);
    expect(status()).toMatchObject({ state: 'live', seq: 7 });
  });

  it('does not storm a server that keeps answering with a hole', async () => {
    const { socket, status, texts } = await attached();
    socket.say(joined(socket.take('join').id, 0, 1));
    socket.say(page(2, 3));
    let joins = 0;
    for (let ms = 0; ms < 60_000; ms += 50) {
      if (ms % 10_000 === 0) socket.say({ op: 'ping' });
      for (const join of socket.sent.splice(0).filter(frame => frame.op === 'join')) {
        joins++;
        socket.say(joined(join.id, 2, 3));
      }
      await pass(50);
    }
    expect(joins).toBeGreaterThan(5);
    expect(joins).toBeLessThan(60);
    expect(status()).toMatchObject({ seq: 1, gaps: 1 });
    expect(texts()).toEqual(['m1']);
  });

  it('takes no page of another epoch', async () => {
    const { socket, texts } = await attached();
    socket.say(joined(socket.take('join').id, 0, 2));
    socket.say(page(2, 3, 'f'));
    expect(texts()).toEqual(['m1', 'm2']);
    expect(socket.take('join').position).toBe('e:2');
  });

  it('refuses a page that leaves out, repeats or reorders a seq (PAGE-2)', async () => {
    for (const events of [[event(1)], [event(1), event(1)], [event(2), event(1)]]) {
      const { socket, client } = await attached();
      socket.say(joined(socket.take('join').id, 0, 0));
      socket.say({ op: 'page', room: 'chat:a', epoch: 'e', prev: 0, seq: 2, position: 'e:2', events });
      expect(client.status.get().state).toBe('reconnecting');
      await client.close();
    }
  });

  it('resumes from its position on the next connection (JOIN-4, POS-3)', async () => {
    const { network, socket, seen, status } = await attached();
    socket.say(joined(socket.take('join').id, 0, 1)).say(page(1, 2));
    const next = await again(network);
    expect(status().state).toBe('attaching');
    const join = next.take('join');
    expect(join.position).toBe('e:2');
    next
      .say(joined(join.id, 2, 2, { head: 3 }))
      .say(page(2, 3))
      .say(page(3, 4));
    expect(seen).toEqual(['1 replay', '2 live', '3 replay', '4 live']);
  });

  it('drops its window on a reset in joined, and keeps what is not stored (RESET-3, JOIN-7)', async () => {
    const { network, socket, resets, texts, status, room, gaps } = await attached();
    socket.say(joined(socket.take('join').id, 0, 9));
    network.last.end();
    void room.messages.send({ text: 'mine' });
    await pass(20_000);
    const next = network.last.welcome();
    const join = next.take('join');
    const reset = { reason: 'diverged' };
    next.say({ ...joined(join.id, 4, 6), epoch: 'f', reset, page: span(4, 6, 'f') });
    expect(resets).toEqual([{ reason: 'diverged', epoch: 'f', from: 4, seq: 6 }]);
    expect(texts()).toEqual(['m5', 'm6', 'mine']);
    expect(status()).toMatchObject({ seq: 6 });
    expect(room.position).toBe('f:6');
    expect(gaps).toEqual([]);
  });

  it('drops what was acked in the old numbering on a reset, though its page never came', async () => {
    const { socket, room, texts } = await attached();
    socket.say(joined(socket.take('join').id, 0, 2));
    void room.messages.send({ text: 'acked' });
    socket.say(ack(socket.take('send'), 9));
    expect(texts()).toEqual(['m1', 'm2', 'acked']);
    socket.say({ op: 'reset', room: 'chat:a', reason: 'epoch', epoch: 'f', floor: 1, head: 1 });
    socket.say({ ...joined(socket.take('join').id, 0, 1), epoch: 'f', page: span(0, 1, 'f') });
    expect(texts()).toEqual(['m1']);
  });

  it('joins again without a position after a reset frame; later pages count no more (RESET-2)', async () => {
    const { socket, resets, texts } = await attached();
    socket.say(joined(socket.take('join').id, 0, 2));
    socket.say({ op: 'reset', room: 'chat:a', reason: 'epoch', epoch: 'f', floor: 1, head: 1 });
    const join = socket.take('join');
    expect(join).not.toHaveProperty('position');
    socket.say(page(2, 3));
    expect(texts()).toEqual(['m1', 'm2']); // still shown until there is something to show instead
    socket.say({ ...joined(join.id, 0, 1), epoch: 'f', page: span(0, 1, 'f') });
    expect(texts()).toEqual(['m1']);
    expect(resets).toEqual([{ reason: 'epoch', epoch: 'f', from: 0, seq: 1 }]);
  });

  it('a room that is pruned under it goes on from the floor, without what is gone (RET-2, RESET-3)', async () => {
    const { network, socket, resets, texts, status, gaps } = await attached();
    socket.say(joined(socket.take('join').id, 0, 2));
    socket.say({ op: 'reset', room: 'chat:a', reason: 'pruned', epoch: 'e', floor: 6, head: 8 });
    const join = socket.take('join');
    expect(join).not.toHaveProperty('position');
    socket.say({ ...joined(join.id, 5, 8), floor: 6 });
    expect(texts()).toEqual(['m6', 'm7', 'm8']); // none of what lies below the floor
    expect(resets).toEqual([{ reason: 'pruned', epoch: 'e', from: 5, seq: 8 }]);
    expect(gaps).toEqual([]);
    expect(status()).toMatchObject({ state: 'live', seq: 8 });
    socket.say(page(8, 9));
    expect((await again(network)).take('join').position).toBe('e:9');
  });

  it('a room that is deleted under it is shown empty, and what is sent on is its first (RET-3, ROOM-10)', async () => {
    const { socket, room, resets, texts } = await attached();
    socket.say(joined(socket.take('join').id, 0, 2));
    socket.say({ op: 'reset', room: 'chat:a', reason: 'epoch', epoch: 'e-1', floor: 1, head: 0 });
    const join = socket.take('join');
    socket.say({ ...joined(join.id, 0, 0), epoch: 'e-1', page: span(0, 0, 'e-1') });
    expect(texts()).toEqual([]);
    expect(resets).toEqual([{ reason: 'epoch', epoch: 'e-1', from: 0, seq: 0 }]);
    socket.say(page(0, 1, 'e-1'));
    expect(texts()).toEqual(['m1']);
    expect(room.status.get()).toMatchObject({ state: 'live', seq: 1 });
  });

  it('a gap that ends in a reset is not recovered, and is said to be so', async () => {
    const { socket, gaps, resets } = await attached();
    socket.say(joined(socket.take('join').id, 0, 2)).say(page(5, 6));
    socket.say(joined(socket.take('join').id, 5, 6, { reset: { reason: 'pruned' }, floor: 6 }));
    expect(gaps).toEqual([
      { from: 3, to: 5, recovered: false },
      { from: 3, to: 5, recovered: false },
    ]);
    expect(resets).toHaveLength(1);
  });

  it('attach is counted, and leaves one macrotask after the last detach (JOIN-10)', async () => {
    const { socket, room, detach, status, texts } = await attached();
    socket.say(joined(socket.take('join').id, 0, 1));
    const second = room.attach();
    detach();
    detach(); // twice is once
    await pass(0);
    expect(socket.sent).toEqual([]);
    second();
    const third = room.attach(); // as StrictMode does it
    await pass(0);
    expect(socket.sent).toEqual([]);
    third();
    await pass(0);
    socket.take('leave');
    expect(status().state).toBe('detached');
    socket.say(page(1, 2)); // was on its way
    expect(texts()).toEqual(['m1']);
    room.attach();
    expect(socket.take('join').position).toBe('e:1');
  });

  it('ignores the answer to a join that was overtaken by a leave and another join (JOIN-9)', async () => {
    const { socket, room, detach, texts } = await attached();
    const first = socket.take('join');
    detach();
    await pass(0);
    room.attach();
    const second = socket.take('join');
    socket.say(joined(first.id, 0, 1)).say(page(1, 2));
    expect(texts()).toEqual([]);
    socket.say(joined(second.id, 0, 2));
    expect(texts()).toEqual(['m1', 'm2']);
  });

  it('is denied for good, and asks again on the next connection (ROOM-3, AUTH-5)', async () => {
    const { network, client, socket, status } = await attached();
    const errors: string[] = [];
    client.on('error', error => errors.push(error.code));
    socket.say(refusal(socket.take('join'), 'unknown_room', false));
    expect(status()).toMatchObject({ state: 'denied', error: { code: 'unknown_room' } });
    expect(errors).toEqual(['unknown_room']);
    await pass(14_000);
    expect(socket.sent).toEqual([]);
    const next = await again(network);
    next.say(joined(next.take('join').id, 0, 1));
    expect(status()).toMatchObject({ state: 'live', error: undefined });
  });

  it('is denied when the room is taken away while it is live (ACC-4, AUTH-10)', async () => {
    const { network, client, socket, status, texts } = await attached();
    const errors: string[] = [];
    client.on('error', error => errors.push(error.code));
    socket.say(joined(socket.take('join').id, 0, 1));
    socket.say({
      op: 'error',
      room: 'chat:a',
      code: 'unknown_room',
      title: 'No such room.',
      retryable: false,
    });
    expect(status()).toMatchObject({ state: 'denied', error: { code: 'unknown_room' }, seq: 1 });
    expect(errors).toEqual(['unknown_room']);
    expect(texts()).toEqual(['m1']); // what was shown stays; the application knows better
    await pass(14_000);
    expect(socket.sent).toEqual([]);
    const next = await again(network);
    next.say(joined(next.take('join').id, 1, 2));
    expect(status()).toMatchObject({ state: 'live', error: undefined, seq: 2 });
  });

  it('leaves it to the answer of a join under way whether it is denied (ACC-4)', async () => {
    const { socket, status } = await attached();
    const { id } = socket.take('join');
    socket.say({
      op: 'error',
      room: 'chat:a',
      code: 'unknown_room',
      title: 'No such room.',
      retryable: false,
    });
    expect(status().state).toBe('attaching');
    socket.say(joined(id, 0, 1));
    expect(status().state).toBe('live');
  });

  it('asks again when a join is refused for now, not sooner than told (ERR-3)', async () => {
    const { socket, status } = await attached();
    socket.say(refusal(socket.take('join'), 'unavailable', true, { retry_after_ms: 2_000 }));
    await pass(1_999);
    expect(socket.sent).toEqual([]);
    await pass(1);
    socket.say(joined(socket.take('join').id, 0, 1));
    expect(status().state).toBe('live');
  });
});
