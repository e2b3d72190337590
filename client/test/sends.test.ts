import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient, newTag } from '../src/index.js';
import {
  ack,
  event,
  FakeNetwork,
  type FakeSocket,
  type Frame,
  joined,
  page,
  refusal,
  tagOf,
} from './fake/socket.js';

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

function setUp() {
  const network = new FakeNetwork();
  const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
  const room = client.room('chat:a');
  let made = 0;
  const send = (text = `t${++made}`) => room.messages.send({ text });
  const shown = () => room.messages.list.get().map(m => `${m.data.text} ${m.delivery}`);
  return { network, client, room, send, shown };
}

async function connected() {
  const made = setUp();
  void made.client.connect();
  await pass(0);
  return { ...made, socket: made.network.last.welcome() };
}

/** Takes every send that is out, as `n text`. */
function out(socket: FakeSocket): { frames: Frame[]; said: string[] } {
  const frames = socket.sent.filter(frame => frame.op === 'send');
  socket.sent.splice(0);
  return { frames, said: frames.map(f => `${f.n} ${(f.data as { text: string }).text}`) };
}

describe('sends', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('shows a send at once, with one tag through all its states (TAG-2, ACK-3, ACK-4)', async () => {
    const { network, client, room, send, shown } = setUp();
    const handle = send();
    expect(shown()).toEqual(['t1 queued']);
    expect(client.status.get().pendingSends).toBe(1);
    room.attach();
    await pass(0);
    const socket = network.last.welcome();
    expect(shown()).toEqual(['t1 sending']);
    socket.say(joined(socket.take('join').id, 0, 2));
    const frame = socket.take('send');
    expect(frame).toMatchObject({ n: 1, tag: handle.tag, type: 'message', data: { text: 't1' } });
    socket.say(ack(frame, 3));
    expect(shown()).toEqual(['m1 sent', 'm2 sent', 't1 sent']);
    expect(room.status.get()).toMatchObject({ seq: 2, behind: 1 });
    expect(client.status.get().pendingSends).toBe(0);
    await expect(handle).resolves.toMatchObject({ seq: 3, tag: handle.tag, own: true, delivery: 'sent' });
    const mine = event(3, { author: 'u1', tag: handle.tag, data: { text: 't1' } });
    socket.say({ op: 'page', room: 'chat:a', epoch: 'e', prev: 2, seq: 3, position: 'e:3', events: [mine] });
    expect(shown()).toEqual(['m1 sent', 'm2 sent', 't1 sent']);
    expect(room.messages.list.get().at(-1)).toMatchObject({ tag: handle.tag, seq: 3, own: true });
    expect(room.status.get()).toMatchObject({ seq: 3, behind: 0 });
  });

  it('goes by retryable where it does not know the code (ERR-4)', async () => {
    const { socket, send, shown } = await connected();
    const [first, second] = [send(), send()];
    void second.catch(() => undefined);
    const [one, two] = out(socket).frames as [Frame, Frame];
    socket.say(ack(one, 1));
    socket.say(refusal(two, 'not_thought_of_yet', true));
    await pass(2_000);
    const [again] = out(socket).frames as [Frame];
    expect(again).toMatchObject({ n: 2, tag: second.tag });
    socket.say(refusal(again, 'nor_this', false));
    await pass(2_000);
    expect(out(socket).said).toEqual([]);
    expect(shown()).toEqual(['t1 sent', 't2 failed']);
    await expect(first).resolves.toMatchObject({ seq: 1 });
  });

  it('is settled by a page that comes before the ack; the ack then changes nothing (ACK-4)', async () => {
    const { room, socket, send, shown } = await connected();
    room.attach();
    socket.say(joined(socket.take('join').id, 0, 0));
    const [first, second] = [send(), send()];
    const { frames } = out(socket);
    const mine = event(1, { author: 'u1', tag: first.tag, data: { text: 't1' } });
    socket.say({ op: 'page', room: 'chat:a', epoch: 'e', prev: 0, seq: 1, position: 'e:1', events: [mine] });
    await expect(first).resolves.toMatchObject({ seq: 1 });
    socket.say(ack(frames[0] as Frame, 1)).say(ack(frames[1] as Frame, 2));
    await expect(second).resolves.toMatchObject({ seq: 2 });
    expect(shown()).toEqual(['t1 sent', 't2 sent']);
  });

  it("does not take another user's event with the same tag for its own (TAG-5)", async () => {
    const { room, socket, send, shown } = await connected();
    room.attach();
    socket.say(joined(socket.take('join').id, 0, 0));
    const { tag } = send();
    const theirs = event(1, { author: 'u2', tag });
    socket.say({
      op: 'page',
      room: 'chat:a',
      epoch: 'e',
      prev: 0,
      seq: 1,
      position: 'e:1',
      events: [theirs],
    });
    expect(shown()).toEqual(['m1 sent', 't1 sending']);
  });

  it('numbers sends by room, from 1 on each connection, at most 64 under way (SEND-2)', async () => {
    const { network, client, socket, send } = await connected();
    for (let i = 0; i < 70; i++) send();
    void client.room('chat:b').messages.send({ text: 'b' });
    const { frames, said } = out(socket);
    expect(said.slice(0, 64)).toEqual(Array.from({ length: 64 }, (_, i) => `${i + 1} t${i + 1}`));
    expect(said.slice(64)).toEqual(['1 b']);
    socket.say(ack(frames[0] as Frame, 1)).say(ack(frames[1] as Frame, 2));
    expect(out(socket).said).toEqual(['65 t65', '66 t66']);
    socket.end();
    await pass(20_000);
    // SEND-7: everything unanswered, in order, before anything new
    const again = out(network.last.welcome()).said;
    expect(again.slice(0, 3)).toEqual(['1 t3', '2 t4', '3 t5']);
    expect(again.filter(s => s.startsWith('1 '))).toHaveLength(2);
  });

  it('keeps what is typed offline, and sends it in order', async () => {
    const { network, client, send, shown } = setUp();
    send();
    send();
    void client.connect();
    await pass(0);
    network.last.end();
    send();
    await pass(20_000);
    expect(shown()).toEqual(['t1 queued', 't2 queued', 't3 queued']);
    expect(out(network.last.welcome()).said).toEqual(['1 t1', '2 t2', '3 t3']);
  });

  it('after a refusal for now the same n comes first, not sooner than told, then the rest (SEND-4)', async () => {
    const { socket, send } = await connected();
    [send(), send(), send(), send()];
    const { frames } = out(socket);
    const [one, two, three, four] = frames as [Frame, Frame, Frame, Frame];
    socket.say(ack(one, 1)).say(refusal(two, 'rate_limited', true, { retry_after_ms: 800 }));
    send('t5');
    socket.say(refusal(three, 'out_of_order', true)).say(refusal(four, 'out_of_order', true));
    await pass(799);
    expect(out(socket).said).toEqual([]);
    await pass(1);
    const retried = out(socket); // one first: the others would only be refused again
    expect(retried.said).toEqual(['2 t2']);
    socket.say(ack(retried.frames[0] as Frame, 2));
    expect(out(socket).said).toEqual(['3 t3', '4 t4']);
  });

  it('after out_of_order waits for what is before it, then goes on from there (SEND-3)', async () => {
    const { socket, send } = await connected();
    [send(), send(), send()];
    const [one, two, three] = out(socket).frames as [Frame, Frame, Frame];
    socket.say(refusal(three, 'out_of_order', true)).say(refusal(two, 'out_of_order', true));
    await pass(2_000);
    expect(out(socket).said).toEqual([]);
    socket.say(refusal(one, 'unavailable', true, { retry_after_ms: 100 }));
    await pass(250);
    const next = out(socket);
    expect(next.said).toEqual(['1 t1']);
    socket.say(ack(next.frames[0] as Frame, 1));
    expect(out(socket).said).toEqual(['2 t2', '3 t3']);
  });

  it('connects anew when the order is lost for good', async () => {
    const { client, socket, send } = await connected();
    send();
    let refused = 0;
    for (let ms = 0; ms < 60_000 && client.status.get().state === 'connected'; ms += 50) {
      for (const frame of out(socket).frames) {
        refused++;
        socket.say(refusal(frame, 'out_of_order', true));
      }
      await pass(50);
    }
    expect(refused).toBe(6);
    expect(client.status.get().state).toBe('reconnecting');
  });

  it('a refusal for good uses its n, shows the reason, and holds nobody up (SEND-5)', async () => {
    const { client, room, socket, send, shown } = await connected();
    const [bad] = [send(), send()];
    const { frames } = out(socket);
    socket.say(refusal(frames[0] as Frame, 'bad_data', false, { field: 'data' }));
    socket.say(ack(frames[1] as Frame, 1));
    await expect(bad).rejects.toMatchObject({ code: 'bad_data', field: 'data', docs: '/errors#bad_data' });
    expect(shown()).toEqual(['t2 sent', 't1 failed']);
    expect(room.messages.list.get()[1]?.error?.message).toBe('It is bad_data.');
    expect(client.status.get().pendingSends).toBe(0);
    const again = bad?.retry();
    expect(again?.tag).toBe(bad?.tag);
    const retried = out(socket);
    expect(retried.said).toEqual(['3 t1']);
    socket.say(ack(retried.frames[0] as Frame, 2));
    await expect(again).resolves.toMatchObject({ seq: 2 });
    expect(bad?.retry()).toBe(bad); // nothing to retry any more
  });

  it('keeps trying while the outcome is unknown; a duplicate is success (ACK-5, TAG-3)', async () => {
    const { socket, send } = await connected();
    const handle = send();
    for (let i = 0; i < 4; i++) {
      const { frames } = out(socket);
      expect(frames).toMatchObject([{ n: 1, tag: handle.tag }]);
      expect(handle.cancel()).toBe(false); // it may be stored
      socket.say(refusal(frames[0] as Frame, 'outcome_unknown', true));
      expect(handle.cancel()).toBe(false);
      await pass(4_000);
    }
    socket.say(ack(out(socket).frames[0] as Frame, 9, { duplicate: true }));
    await expect(handle).resolves.toMatchObject({ seq: 9 });
  });

  it('a page that settles a send whose slot is then refused leaves the slot to the next (SEND-4)', async () => {
    const { room, socket, send } = await connected();
    room.attach();
    socket.say(joined(socket.take('join').id, 0, 0));
    const first = send();
    send();
    const { frames } = out(socket);
    const mine = event(1, { author: 'u1', tag: first.tag });
    socket.say({ op: 'page', room: 'chat:a', epoch: 'e', prev: 0, seq: 1, position: 'e:1', events: [mine] });
    socket.say(refusal(frames[0] as Frame, 'outcome_unknown', true));
    socket.say(refusal(frames[1] as Frame, 'unavailable', true));
    await pass(4_000);
    expect(out(socket).said).toEqual(['1 t2']);
  });

  it('takes back what is queued or failed, not what may be stored', async () => {
    const { socket, client, send, shown } = await connected();
    for (let i = 0; i < 64; i++) send();
    const queued = send();
    expect(send().tag).not.toBe(queued.tag);
    expect(queued.cancel()).toBe(true);
    expect(queued.cancel()).toBe(false);
    await expect(queued).rejects.toMatchObject({ code: 'cancelled' });
    expect(shown()).toHaveLength(65);
    expect(client.status.get().pendingSends).toBe(65);
    const { frames } = out(socket);
    socket.say(ack(frames[0] as Frame, 1));
    expect(out(socket).said).toEqual(['65 t66']); // t65 was taken back
  });

  it('may take back what was refused for now: it is not stored (ACK-7)', async () => {
    const { socket, send } = await connected();
    const [one, two] = [send(), send()];
    const { frames } = out(socket);
    socket.say(refusal(frames[0] as Frame, 'rate_limited', true, { retry_after_ms: 500 }));
    expect(two?.cancel()).toBe(false);
    socket.say(refusal(frames[1] as Frame, 'out_of_order', true));
    expect(two?.cancel()).toBe(true);
    expect(one?.cancel()).toBe(true);
    send('t3');
    await pass(500);
    expect(out(socket).said).toEqual(['1 t3']); // "or, if that is given up, the next one"
  });

  it('does not lose the connection to a message above the limit of frames (CLOSE-5)', async () => {
    const { socket, room } = await connected();
    const big = room.messages.send({ text: 'x'.repeat(1 << 20) });
    const fine = room.messages.send({ text: 'fine' });
    await expect(big).rejects.toMatchObject({ code: 'message_too_large', retryable: false });
    const { frames, said } = out(socket);
    expect(said).toEqual(['1 fine']);
    socket.say(ack(frames[0] as Frame, 1));
    await expect(fine).resolves.toBeDefined();
  });

  it('keeps sends through a token that expires, and sends them with the fresh one (AUTH-9, CLOSE-9)', async () => {
    const network = new FakeNetwork();
    const client = createClient({ url: 'http://h', token: async () => 't', WebSocket: network.WebSocket });
    void client.connect();
    await pass(0);
    const socket = network.last.welcome();
    const handle = client.room('chat:a').messages.send({ text: 'x' });
    socket.say(refusal(socket.take('send'), 'token_expired', false));
    expect(client.room('chat:a').messages.list.get()[0]?.delivery).toBe('sending');
    socket.end(4501, 'token_expired');
    await pass(250);
    const next = network.last.welcome();
    next.say(ack(next.take('send'), 1));
    await expect(handle).resolves.toMatchObject({ seq: 1 });
  });

  it('fails sends when the connection fails, with its reason (AUTH-9)', async () => {
    const { socket, send } = await connected();
    const handle = send();
    socket.say(refusal(socket.take('send'), 'token_expired', false));
    socket.end(4501, 'token_expired');
    await expect(handle).rejects.toMatchObject({ code: 'token_expired' });
    await expect(send()).rejects.toMatchObject({ code: 'token_expired' }); // nobody would ever send it
  });

  it('sends what the data was when send was called, and refuses what is not JSON (TAG-4)', async () => {
    const { network, client, room } = setUp();
    const data = { text: 'before' };
    void room.messages.send(data);
    data.text = 'after';
    void client.connect();
    await pass(0);
    expect(out(network.last.welcome()).said).toEqual(['1 before']);
    expect(() => client.room<unknown>('chat:a').messages.send(undefined)).toThrow(TypeError);
  });

  it('takes a tag of the application, in either case, and the same one only once (TAG-1)', async () => {
    const { socket, room } = await connected();
    const tag = 'ABCDEF01-0000-4000-8000-000000000001';
    const first = room.messages.send({ text: 'x' }, { tag });
    expect(room.messages.send({ text: 'x' }, { tag })).toBe(first);
    expect(first.tag).toBe(tag.toLowerCase());
    expect(out(socket).frames).toHaveLength(1);
  });

  it('sends other types alike, and keeps them out of the list of messages (PAGE-7)', async () => {
    const { socket, client } = await connected();
    const room = client.room<{ pick: number }>('chat:a');
    room.attach();
    const seen: string[] = [];
    room.on('event', e => seen.push(e.type));
    socket.say(joined(socket.take('join').id, 0, 0));
    const handle = room.messages.send({ pick: 1 }, { type: 'vote' });
    expect(room.messages.list.get()).toEqual([]);
    const frame = socket.take('send');
    const mine = event(1, { type: 'vote', author: 'u1', tag: frame.tag });
    socket.say({ op: 'page', room: 'chat:a', epoch: 'e', prev: 0, seq: 1, position: 'e:1', events: [mine] });
    await expect(handle).resolves.toMatchObject({ seq: 1, type: 'vote' });
    expect(seen).toEqual(['vote']);
  });

  it('keeps the object of a message that has not changed', async () => {
    const { socket, room, send } = await connected();
    room.attach();
    socket.say(joined(socket.take('join').id, 0, 2));
    const before = room.messages.list.get();
    expect(room.messages.list.get()).toBe(before);
    send();
    const after = room.messages.list.get();
    expect(after).not.toBe(before);
    expect(after[0]).toBe(before[0]);
    socket.say(page(2, 3));
    expect(room.messages.list.get()[0]).toBe(before[0]);
    expect(room.messages.list.get()[3]).toBe(after[2]);
  });

  it('makes tags that are UUIDs of version 7, in the order of time', () => {
    const tags = Array.from({ length: 50 }, () => {
      vi.advanceTimersByTime(1);
      return newTag();
    });
    expect(new Set(tags).size).toBe(50);
    expect([...tags].sort()).toEqual(tags);
    for (const tag of tags) {
      expect(tag).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
    expect(tagOf(1)).toHaveLength(36);
  });
});
