import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createClient, type Message, type RoomOptions } from '../src/index.js';
import { ack, event, FakeNetwork, type FakeSocket, joined, refusal, tagOf } from './fake/socket.js';

await import('../src/client/view.js');

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const AT = '2026-11-23T10:00:00.123456Z';

/** A change of the message with this seq. */
const change = (seq: number, type: string, target: number, data: object = {}, fields: object = {}) =>
  event(seq, { type, target, data: { target, ...data }, ...fields });
const edit = (seq: number, target: number, text: string, fields?: object) =>
  change(seq, 'edit', target, { data: { text } }, fields);
const gone = (seq: number, target: number) => change(seq, 'delete', target);
const react = (seq: number, target: number, emoji: string, author = 'u2', remove?: true) =>
  change(seq, 'reaction', target, { emoji, remove }, { author });

const erase = (seq: number, user: string) => event(seq, { type: 'erase', author: 'admin', data: { user } });

/** Requests that are answered by these bodies, in turn. */
function served() {
  const answers: object[] = [];
  const fetch = (async () => Response.json(answers.shift())) as typeof globalThis.fetch;
  return { fetch, answers };
}

function follow(socket: FakeSocket, prev: number, ...events: object[]): void {
  const seq = prev + events.length;
  socket.say({ op: 'page', room: 'chat:a', epoch: 'e', prev, seq, position: `e:${seq}`, events });
}

async function inRoom(options?: RoomOptions & { fetch?: typeof fetch }) {
  const network = new FakeNetwork();
  const { fetch, ...of } = options ?? {};
  const client = createClient({
    url: 'http://h:1',
    token: 't',
    WebSocket: network.WebSocket,
    ...(fetch && { fetch }),
  });
  const room = client.room('chat:a', of);
  room.attach();
  await pass(0);
  const socket = network.last.welcome();
  const rows = () => room.messages.list.get();
  return { client, network, room, socket, rows, shown: () => rows().map(show) };
}

const show = ({ seq, data, edited, deleted, reactions, change }: Message) =>
  [
    `${seq} ${data?.text ?? null}`,
    edited && `edited ${edited.seq}`,
    deleted && `deleted by ${deleted.by}`,
    ...reactions.map(({ emoji, users, mine }) => `${emoji} ${users.join(',')}${mine ? ' mine' : ''}`),
    change && `${change.type} ${change.delivery}`,
  ]
    .filter(Boolean)
    .join('; ');

describe('messages that change', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('shows the present content; changes are no rows, and move the position (CHG-5 to CHG-8)', async () => {
    const { room, socket, shown, rows } = await inRoom();
    socket.say(joined(socket.take('join').id, 0, 3));
    const [first, , third] = rows();
    follow(
      socket,
      3,
      edit(4, 1, 'once'),
      edit(5, 1, 'twice'),
      react(6, 2, '👍'),
      react(7, 2, '👍', 'u1'),
      react(8, 2, '👍'),
      react(9, 2, '🎉', 'u3'),
    );
    expect(shown()).toEqual(['1 twice; edited 5', '2 m2; 👍 u2,u1 mine; 🎉 u3', '3 m3']);
    expect(room.status.get().seq).toBe(9);
    expect(rows()[0]).not.toBe(first);
    expect(rows()[2]).toBe(third);
    follow(
      socket,
      9,
      react(10, 2, '👍', 'u1', true),
      react(11, 2, '🎉', 'u3', true),
      gone(12, 1),
      edit(13, 1, 'late'),
    );
    expect(shown()).toEqual(['2 m2; 👍 u2', '3 m3']);
  });

  it('keeps the place of what was deleted where that is asked for, and nothing of its text', async () => {
    const { room, socket, shown, rows } = await inRoom({ tombstones: true });
    socket.say(joined(socket.take('join').id, 0, 2));
    follow(socket, 2, edit(3, 1, 'secret'), gone(4, 1));
    expect(shown()).toEqual(['1 null; deleted by u2', '2 m2']);
    expect(rows()[0]?.deleted).toEqual({ seq: 4, by: 'u2', at: new Date(AT) });
    room.messages.edit(1, { text: 'too late' });
    expect(shown()[0]).toBe('1 null; deleted by u2; edit sending');
    socket.say(refusal(socket.take('send'), 'unknown_target', false));
    const told = { deleted: { seq: 9, by: 'u3', at: AT }, data: null };
    follow(socket, 4, event(5, told), change(6, 'edit', 5, {}, { ...told, target: 5 }));
    expect(shown().at(-1)).toBe('5 null; deleted by u3');
  });

  it('drops what somebody said whose data was erased, and shows what others said', async () => {
    const { socket, shown } = await inRoom({ tombstones: true });
    socket.say(joined(socket.take('join').id, 0, 2)); // by u2
    follow(
      socket,
      2,
      event(3, { author: 'u3' }),
      react(4, 3, '👍', 'u2'),
      react(5, 3, '👍', 'u3'),
      react(6, 3, '👎', 'u2'),
      edit(7, 1, 'secret', { author: 'u3' }),
      erase(8, 'u2'),
      event(9),
      react(10, 3, '👎', 'u2'),
    );
    expect(shown()).toEqual([
      '1 null; deleted by admin',
      '2 null; deleted by admin',
      '3 m3; 👍 u3; 👎 u2',
      '9 m9',
    ]);
  });

  it('takes the reactions of an erased user off what others said, in views as in the window (ERASE-2)', async () => {
    const { fetch, answers } = served();
    const { room, socket, shown } = await inRoom({ fetch });
    socket.say(joined(socket.take('join').id, 5, 6));
    const reactions = [
      { emoji: '👍', count: 2, users: ['u3', 'u2'] },
      { emoji: '🎉', count: 1, users: ['u2'] },
    ];
    const events = [event(4, { author: 'u3', reactions }), event(5, { author: 'u3' })];
    const page = { epoch: 'e', floor: 1, position: 'e:5', prev: 3, seq: 5, head: 6, events };
    answers.push(page, page);
    await room.messages.loadOlder();
    const view = await room.messages.view({ around: 4 });
    const list = () => view.list.get().map(show);
    expect(list()).toEqual(['4 m4; 👍 u3,u2; 🎉 u2', '5 m5']);
    const [, other] = view.list.get();
    follow(socket, 6, erase(7, 'u2'));
    expect(list()).toEqual(['4 m4; 👍 u3', '5 m5']);
    expect(shown()).toEqual(['4 m4; 👍 u3', '5 m5']);
    expect(view.list.get()[1]).toBe(other);
    expect(view.list.get()[0]?.reactions[0]?.count).toBe(1);
  });

  it('shows nothing of what is left of the reactions and edits of an erased user (ERASE-2)', async () => {
    const { socket, shown } = await inRoom();
    socket.say(joined(socket.take('join').id, 0, 1));
    const left = { author: 'u3', target: 1, data: null, deleted: { seq: 4, by: 'admin', at: AT } };
    follow(
      socket,
      1,
      event(2, { ...left, type: 'reaction' }),
      event(3, { ...left, type: 'edit' }),
      erase(4, 'u3'),
    );
    expect(shown()).toEqual(['1 m1']);
  });

  it('counts a reaction for its author, whoever its data names', async () => {
    const { socket, shown } = await inRoom();
    socket.say(joined(socket.take('join').id, 0, 1));
    const named = { target: 1, emoji: '👍', user: 'u3' };
    follow(socket, 1, event(2, { type: 'reaction', target: 1, data: named }));
    expect(shown()).toEqual(['1 m1; 👍 u2']);
  });

  it('an event of its own says what it changes', async () => {
    const { room, socket } = await inRoom();
    const seen: unknown[] = [];
    room.on('event', ({ seq, type, target, via }) => seen.push([seq, type, target, via]));
    socket.say(joined(socket.take('join').id, 0, 1));
    follow(socket, 1, edit(2, 1, 'x'), event(3, { type: 'vote', data: { target: 1 } }));
    expect(seen).toEqual([
      [1, 'message', undefined, 'replay'],
      [2, 'edit', 1, 'live'],
      [3, 'vote', undefined, 'live'],
    ]);
  });

  it('shows a change of its own at once, keeps it through its ack, and counts it once (CHG-1)', async () => {
    const { room, socket, shown, rows } = await inRoom();
    socket.say(joined(socket.take('join').id, 0, 2));
    const handle = room.messages.edit(1, { text: 'new' });
    room.messages.react(2, '👍');
    expect(shown()).toEqual(['1 new; edited null; edit sending', '2 m2; 👍 u1 mine; reaction sending']);
    const [row] = rows();
    expect(rows()[0]).toBe(row);
    const frames = [socket.take('send'), socket.take('send')];
    expect(frames[0]).toMatchObject({
      type: 'edit',
      data: { target: 1, data: { text: 'new' } },
      tag: handle.tag,
    });
    expect(frames[1]).toMatchObject({ type: 'reaction', data: { target: 2, emoji: '👍' } });
    socket.say(ack(frames[0] as never, 3)).say(ack(frames[1] as never, 4));
    await expect(handle).resolves.toMatchObject({ seq: 3, type: 'edit' });
    expect(shown()).toEqual(['1 new; edited 3', '2 m2; 👍 u1 mine']);
    const own = { author: 'u1', tag: handle.tag };
    follow(socket, 2, edit(3, 1, 'new', own), react(4, 2, '👍', 'u1'));
    expect(shown()).toEqual(['1 new; edited 3', '2 m2; 👍 u1 mine']);
  });

  it('undoes what was refused, with the reason; it can be sent again or discarded', async () => {
    const { room, socket, shown, rows } = await inRoom();
    socket.say(joined(socket.take('join').id, 0, 2));
    const { tag } = room.messages.remove(1);
    expect(shown()).toEqual(['2 m2']);
    socket.say(refusal(socket.take('send'), 'forbidden', false, { field: 'target' }));
    expect(shown()).toEqual(['1 m1; delete failed', '2 m2']);
    expect(rows()[0]?.change).toMatchObject({ tag, error: { code: 'forbidden', field: 'target' } });
    room.messages.retry(tag);
    expect(shown()).toEqual(['2 m2']);
    socket.say(refusal(socket.take('send'), 'forbidden', false));
    expect(room.messages.discard(tag)).toBe(true);
    expect(shown()).toEqual(['1 m1', '2 m2']);
  });

  it('changes a message that is on its way, by its tag (CHG-2)', async () => {
    const { room, socket, shown } = await inRoom();
    const { tag } = room.messages.send({ text: 'helo' });
    room.messages.edit(tag, { text: 'hello' });
    expect(shown()).toEqual(['null hello; edited null; edit sending']);
    socket.say(joined(socket.take('join').id, 0, 0));
    const sends = [socket.take('send'), socket.take('send')];
    expect(sends[1]).toMatchObject({ n: 2, data: { target: tag } });
    socket.say(ack(sends[0] as never, 1));
    expect(shown()).toEqual(['1 hello; edited null; edit sending']);
    follow(socket, 0, event(1, { author: 'u1', tag, data: { text: 'helo' } }));
    follow(socket, 1, edit(2, 1, 'hello', { author: 'u1', tag: sends[1]?.tag }));
    expect(shown()).toEqual(['1 hello; edited 2']);
  });

  it("takes an edit of another user's message with the same tag for what it is (TAG-5)", async () => {
    const { room, socket, shown } = await inRoom();
    socket.say(joined(socket.take('join').id, 0, 1));
    room.messages.edit(tagOf(1), { text: 'mine?' });
    expect(shown()).toEqual(['1 m1']);
  });

  it('is what it is when it sits still: events of the app with fields of the same names are left alone', async () => {
    const { room, socket, shown } = await inRoom();
    socket.say(joined(socket.take('join').id, 0, 1));
    room.messages.send({ target: 1, data: { text: 'x' } } as never, { type: 'vote' });
    follow(socket, 1, event(2, { type: 'edit', data: 'hm' }), event(3, { type: 'reaction', data: null }));
    follow(socket, 3, event(4, { type: 'edit', data: { target: 1 } }));
    expect(shown()).toEqual(['1 m1']);
  });

  it('tells whom a message answers and names', async () => {
    const { socket, rows } = await inRoom();
    socket.say(joined(socket.take('join').id, 0, 1));
    follow(socket, 1, event(2, { data: { text: 'x', reply_to: 1, mentions: ['u1'] } }));
    expect(rows().map(({ replyTo, mentions }) => [replyTo, mentions])).toEqual([
      [undefined, []],
      [1, ['u1']],
    ]);
  });

  it('reads history as it is now, as of the head of the answer, and adds what changed since (CHG-9)', async () => {
    const { fetch, answers } = served();
    const { room, socket, shown } = await inRoom({ fetch });
    socket.say(joined(socket.take('join').id, 10, 12));
    // u9 is one of 11, of whom ten are named: that they react up to the head is counted in the answer.
    const users = Array.from({ length: 10 }, (_, i) => `v${i}`);
    follow(socket, 12, react(13, 10, '👍', 'u9'), edit(14, 9, 'after the head'), react(15, 10, '👍', 'u8'));
    const present = event(10, { reactions: [{ emoji: '👍', count: 11, users }] });
    const page = { epoch: 'e', floor: 1, position: 'e:10', prev: 8, seq: 10, head: 13 };
    answers.push({ ...page, events: [event(9, { edited: { seq: 11, at: AT } }), present] });
    await room.messages.loadOlder();
    expect(shown().slice(0, 2)).toEqual(['9 after the head; edited 14', `10 m10; 👍 ${users.join(',')},u8`]);
    expect(room.messages.list.get()[1]?.reactions[0]?.count).toBe(12);

    answers.push({ ...page, prev: 3, seq: 5, position: 'e:5', head: 15, events: [event(4), event(5)] });
    const view = await room.messages.view({ around: 4 });
    const list = () => view.list.get().map(show);
    expect(list()).toEqual(['4 m4', '5 m5']);
    follow(socket, 15, edit(16, 4, 'live'), gone(17, 5));
    expect(list()).toEqual(['4 live; edited 16']);
  });
});
