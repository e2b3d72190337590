import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient } from '../src/index.js';
import { event, FakeNetwork, type FakeSocket, joined, page, span } from './fake/socket.js';

// What is loaded later is loaded in time that is not faked.
await import('../src/client/sides/part.js');

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const streams = (seq: number, text = '') => event(seq, { data: { text, streaming: true } });
const part = (seq: number, offset: number, text: string) => ({
  op: 'part',
  room: 'chat:a',
  seq,
  offset,
  text,
});

function setUp() {
  const network = new FakeNetwork();
  const client = createClient({ url: 'http://h:1', token: 't', WebSocket: network.WebSocket });
  const room = client.room<{ text: string; streaming?: boolean }>('chat:a');
  room.attach();
  const texts = () => room.messages.list.get().map(({ data }) => data.text);
  const up = async (prev: number, events: object[]) => {
    await pass(0);
    const socket = network.last.welcome();
    await pass(0);
    const join = socket.take('join');
    const seq = prev + events.length;
    socket.say(joined(join.id, prev, seq, { page: { ...span(prev, seq), events } }));
    await pass(0);
    return { socket, join };
  };
  return { network, room, texts, up };
}

const last = (socket: FakeSocket, op: string) => socket.sent.filter(frame => frame.op === op).at(-1);

describe('messages that stream', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, 'random').mockReturnValue(0);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('asks for parts when one is shown, and its text grows from where it began (PART-9)', async () => {
    const { room, texts, up } = setUp();
    const { socket } = await up(0, [streams(1, 'So: '), event(2)]);
    const again = last(socket, 'join');
    expect(again?.with).toContain('parts');
    socket.say(joined(again?.id, 2, 2));
    const [before, other] = room.messages.list.get();
    socket.say(part(1, 0, 'ünd '));
    await pass(0);
    socket.say(part(1, 5, 'so'));
    await pass(0);
    expect(texts()[0]).toBe('So: ünd so');
    expect(room.messages.list.get()[1]).toBe(other);
    expect(room.messages.list.get()[0]?.tag).toBe(before?.tag);
    socket.say(part(1, 3, 'd on'));
    await pass(0);
    expect(texts()[0]).toBe('So: ünd on');
    socket.say(part(1, 99, 'x'));
    await pass(0);
    expect(texts()[0]).toBe('So: ünd on');
    expect(last(socket, 'sync')).toMatchObject({ room: 'chat:a', side: 'parts' });
    socket.say(part(1, 0, 'anew'));
    await pass(0);
    expect(texts()[0]).toBe('So: anew');
  });

  it('asks for nothing where none streams any more, and for no other side where one does (SIDE-1)', async () => {
    const { up } = setUp();
    const ended = event(2, { type: 'edit', target: 1, data: { target: 1, data: { text: 'all' } } });
    const { socket } = await up(0, [streams(1), ended]);
    expect(socket.sent.map(({ op }) => op)).toEqual([]);
    socket.say({ ...page(2, 3), events: [streams(3)] });
    await pass(0);
    const again = socket.take('join');
    expect(again).toMatchObject({ position: 'e:3', with: ['parts'] });
    socket.say(joined(again.id, 3, 3));
    await pass(5_000);
    expect(socket.sent.map(({ op }) => op)).toEqual([]);
  });

  it('goes on after a reconnect from where it was, and ends with the edit (PART-7)', async () => {
    const { network, texts, up, room } = setUp();
    const { socket } = await up(0, [streams(1)]);
    socket.say(joined(last(socket, 'join')?.id, 1, 1));
    socket.say(part(1, 0, 'hälf'));
    await pass(0);
    network.last.end();
    await pass(60_000);
    const { socket: next, join } = await up(1, []);
    expect(join).toMatchObject({ parts: { 1: 5 } });
    next.say(part(1, 5, ' and half'));
    await pass(0);
    expect(texts()).toEqual(['hälf and half']);
    const edit = event(2, { type: 'edit', target: 1, data: { data: { text: 'hälf and half.' } } });
    next.say({ ...page(1, 2), events: [edit] });
    await pass(0);
    expect(texts()).toEqual(['hälf and half.']);
    next.say(part(1, 14, 'late'));
    await pass(0);
    expect(texts()).toEqual(['hälf and half.']);
    expect(room.messages.list.get()[0]?.edited?.seq).toBe(2);
  });
});
